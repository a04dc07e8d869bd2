// nodemailer for _clients.py: the same arguments behind the folder of its modules, the same result.
import { createRequire } from 'node:module';
import { readFileSync, statSync } from 'node:fs';

const [modules, port, ca, file, count, warmUp] = process.argv.slice(2);
const nodemailer = createRequire(`${modules}/`)('nodemailer');
const mailer = nodemailer.createTransport({
  host: 'localhost', port: Number(port), secure: true, tls: { ca: readFileSync(ca) },
  pool: true, maxConnections: 1, maxMessages: Infinity,
  auth: { type: 'OAuth2', user: 'alerts@example.org', accessToken: 't'.repeat(1400) },
});
const raw = statSync(file).size < 2 ** 20 ? readFileSync(file) : { path: file };
const send = () => mailer.sendMail({ envelope: { from: 'alerts@example.org', to: ['someone@example.org'] }, raw });

for (let i = 0; i < Number(warmUp); i++) await send();
const began = process.hrtime.bigint();
const used = process.cpuUsage();
for (let i = 0; i < Number(count); i++) await send();
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
const { user, system } = process.cpuUsage(used);
mailer.close();
const [, peak] = readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+) kB/);
console.log(JSON.stringify({ seconds, processor: (user + system) / 1e6, peak: Number(peak) }));
