// Sends by the SDK of SendGrid, at BASE_URL; prints what it answered.
import sendgrid from '@sendgrid/mail';

const use = (key) => {
  sendgrid.setApiKey(key); // this sets the address, too
  sendgrid.client.setDefaultRequest('baseUrl', process.env.BASE_URL);
};
use(process.env.API_TOKEN);
const small = { from: 'alerts@example.org', to: 'you@example.org', subject: '0', text: 'x' };
const seen = ([{ statusCode, headers }]) => [statusCode, headers['x-message-id']];
const wrong = (promise) => promise.then(seen, ({ code, response }) => [code, response?.body]);
const first = await sendgrid.send({
  from: { name: 'Shop', email: 'alerts@example.org' },
  to: ['You <you@example.org>', 'other@example.org'],
  cc: 'copy@example.org',
  bcc: ['hidden@example.org'],
  replyTo: 'help@example.org',
  subject: '1 Grüße',
  text: 'Hallo',
  html: '<p>Hallo <img src="cid:logo"></p>',
  headers: { 'X-Order': '17' },
  attachments: [
    { filename: 'r.csv', content: Buffer.from('a;b\n').toString('base64'), type: 'text/csv' },
    { filename: 'report', content: 'JVBERg==', type: 'application/pdf', disposition: 'attachment' },
    { filename: 'logo.png', content: 'iVBORw==', type: 'image/png', disposition: 'inline', content_id: 'logo' },
  ],
  trackingSettings: { clickTracking: { enable: false, enableText: false }, openTracking: { enable: false } },
});
const second = await sendgrid.sendMultiple({ ...small, subject: '2', to: ['a@example.org', 'b@example.org'] });
const told = {
  first: seen(first),
  second: seen(second),
  template: await wrong(sendgrid.send({ ...small, templateId: 'd-1' })),
  to: await wrong(sendgrid.send({ ...small, to: 'you' })),
};
use('SG.no');
console.log(JSON.stringify({ ...told, key: await wrong(sendgrid.send(small)) }));
