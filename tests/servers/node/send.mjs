// Sends one raw message with nodemailer, an SMTP client nobody here wrote. Standard input carries JSON:
// {"transport": nodemailer's SMTP options, "from": …, "to": […], "raw": the message in base64}; the result is JSON too.
import { text } from 'node:stream/consumers';
import nodemailer from 'nodemailer';

const { transport, from, to, raw } = JSON.parse(await text(process.stdin));
const mailer = nodemailer.createTransport(transport);
try {
  const { accepted, rejected, response } = await mailer.sendMail({ envelope: { from, to }, raw: Buffer.from(raw, 'base64') });
  console.log(JSON.stringify({ accepted, rejected, response }));
} catch ({ code, responseCode, message }) {
  console.log(JSON.stringify({ code, responseCode, message }));
}
mailer.close();
