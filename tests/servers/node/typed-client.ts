// A program that is written against the types made of /openapi.json: node typed-client.js URL TOKEN
import createClient from "openapi-fetch";
import type { paths } from "./postbearer.js";

declare const process: { argv: string[]; exit(code: number): never };

const [url, token] = process.argv.slice(2);
const relay = createClient<paths>({
  baseUrl: url as string,
  headers: { Authorization: `Bearer ${token}` },
});

const sent = await relay.POST("/v1/messages", {
  body: {
    to: "you@example.org",
    subject: "Typed",
    text: "It works.",
    attachments: [{ filename: "a.txt", content: btoa("one") }],
  },
  params: { header: { "Idempotency-Key": "typed-1" } },
});
if (sent.error) {
  console.error(sent.error.detail);
  process.exit(1);
}
const id: string | undefined = sent.data.id;

const wrong = await relay.POST("/v1/messages", { body: { to: "nobody", subject: "Typed" } });
const problem: string | undefined = wrong.error?.errors?.[0]?.pointer;

// @ts-expect-error: a mailbox is a text
await relay.POST("/v1/messages", { body: { to: 7 } });

const seen = await relay.GET("/v1/messages/{id}", { params: { path: { id: id as string } } });
const addresses: string[] = seen.data?.recipients.map((each) => each.address) ?? [];

console.log(JSON.stringify({ id, problem, addresses }));
