// Verifies a webhook: reads {secret, headers, body} and writes {type} or {error}.
import { Webhook } from "standardwebhooks";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { secret, headers, body } = JSON.parse(text);
try {
  console.log(JSON.stringify({ type: new Webhook(secret).verify(body, headers).type }));
} catch (error) {
  console.log(JSON.stringify({ error: error.constructor.name }));
}
