// Whom mailparser and postal-mime read as the authors of a message: messages in base64, one a line; lists in JSON.
import { createInterface } from 'node:readline';
import { simpleParser } from 'mailparser';
import PostalMime from 'postal-mime';

const flat = (given) =>
  (Array.isArray(given) ? given : [given])
    .flatMap((one) => (one === undefined ? [] : (one.value ?? one.group ?? [one])))
    .flatMap((one) => one.group ?? [one])
    .map((one) => one.address)
    .filter(Boolean);

for await (const line of createInterface({ input: process.stdin })) {
  const message = Buffer.from(line, 'base64');
  const parsed = await simpleParser(message, { skipHtmlToText: true, skipTextToHtml: true });
  const names = ['from', 'sender', 'author', 'resent-from', 'resent-sender'];
  const mailparser = names.flatMap((name) => flat(parsed.headers.get(name)));
  const postal = await PostalMime.parse(message);
  const found = [...flat(postal.from), ...flat(postal.sender)];
  console.log(JSON.stringify({ mailparser, 'postal-mime': found }));
}
