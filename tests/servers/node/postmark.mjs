// Sends by the client of Postmark for Node, at BASE_URL; prints what it answered.
import { ServerClient } from 'postmark';

const { protocol, host } = new URL(process.env.BASE_URL);
const place = { requestHost: host, useHttps: protocol === 'https:' };
const client = new ServerClient(process.env.API_TOKEN, place);
const small = { From: 'alerts@example.org', To: 'you@example.org', TextBody: 'x' };
const wrong = (promise) => promise.then(() => null, ({ name, code, statusCode, message }) => ({ name, code, statusCode, message }));
const first = await client.sendEmail({
  From: 'Shop <alerts@example.org>',
  To: 'You <you@example.org>, other@example.org',
  Cc: 'copy@example.org',
  Bcc: 'hidden@example.org',
  ReplyTo: 'help@example.org',
  Subject: '1 Grüße',
  TextBody: 'Hallo',
  HtmlBody: '<p>Hallo <img src="cid:logo"></p>',
  Headers: [{ Name: 'X-Order', Value: '17' }],
  Attachments: [
    { Name: 'r.csv', Content: Buffer.from('a;b\n').toString('base64'), ContentType: 'text/csv', ContentID: null },
    { Name: 'report', Content: 'JVBERg==', ContentType: 'application/pdf', ContentID: null },
    { Name: 'logo.png', Content: 'iVBORw==', ContentType: 'image/png', ContentID: 'cid:logo' },
  ],
  TrackOpens: false,
  MessageStream: 'outbound',
});
const batch = await client.sendEmailBatch([
  { ...small, Subject: '2' }, { ...small, Subject: '3' }, { ...small, Subject: '4', To: 'you' },
]);
console.log(JSON.stringify({
  first,
  batch,
  template: await wrong(client.sendEmail({ ...small, Subject: '0', TemplateId: 5 })),
  sender: await wrong(client.sendEmail({ ...small, Subject: '0', From: 'alerts' })),
  token: await wrong(new ServerClient('no', place).sendEmail({ ...small, Subject: '0' })),
}));
