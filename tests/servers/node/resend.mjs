// Sends by the SDK of Resend, whose RESEND_BASE_URL is the relay; prints what it answered.
import { Resend } from 'resend';

const resend = new Resend(process.env.API_TOKEN);
const full = {
  from: 'Shop <alerts@example.org>',
  to: ['You <you@example.org>', 'other@example.org'],
  cc: 'copy@example.org',
  bcc: ['hidden@example.org'],
  replyTo: 'help@example.org',
  subject: '1 Grüße',
  text: 'Hallo',
  html: '<p>Hallo <img src="cid:logo"></p>',
  headers: { 'X-Order': '17' },
  attachments: [
    { filename: 'r.csv', content: Buffer.from('a;b\n') },
    { filename: 'report', content: 'JVBERg==', contentType: 'application/pdf' },
    { filename: 'logo.png', content: 'iVBORw==', contentId: 'logo' },
  ],
};
const small = { from: 'alerts@example.org', to: 'you@example.org', text: 'x' };
const first = await resend.emails.send(full, { idempotencyKey: 'order-17' });
const again = await resend.emails.send(full, { idempotencyKey: 'order-17' });
const other = await resend.emails.send({ ...full, text: 'x' }, { idempotencyKey: 'order-17' });
const batch = await resend.batch.send([{ ...small, subject: '2' }, { ...small, subject: '3' }]);
const some = await resend.batch.send(
  [{ ...small, subject: '4' }, { ...small, subject: '5', to: 'you' }],
  { batchValidation: 'permissive' },
);
const seen = await resend.emails.get(first.data?.id);
const cancelled = await resend.emails.cancel(first.data?.id);
const template = await resend.emails.send({ ...small, template: { id: 'welcome' } });
const to = await resend.emails.send({ ...small, subject: '0', to: ['you'] });
const key = await new Resend('re_123').emails.send({ ...small, subject: '0' });
const none = await resend.emails.get('none');
console.log(JSON.stringify({ first, again, other, batch, some, seen, cancelled, template, to, key, none }));
