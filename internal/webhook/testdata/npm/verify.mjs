// Verifies messages as a receiver does. Input: {"messages":[{"secret","headers","body"}]}; output: a line for each,
// the parsed body's type, or "refused".
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

for (const { secret, headers, body } of JSON.parse(readFileSync(0, "utf8")).messages) {
  try {
    console.log(new Webhook(secret).verify(body, headers).type);
  } catch {
    console.log("refused");
  }
}
