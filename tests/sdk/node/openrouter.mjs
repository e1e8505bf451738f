// OpenRouter's own SDK, which checks every answer against its schema: chat whole and streamed,
// credits, providers.
// Arguments: base URL, key, models.

import assert from "node:assert/strict";
import { OpenRouter } from "@openrouter/sdk";

const [serverURL, apiKey, ...models] = process.argv.slice(2);
const client = new OpenRouter({ serverURL, apiKey });

for (const model of models) {
  const messages = [{ role: "user", content: "Say something about rivers." }];
  const ask = { model, messages, maxTokens: 24 };
  const whole = await client.chat.send({ chatRequest: { ...ask, stream: false } });
  const said = whole.choices[0].message.content;
  assert.ok(said.length > 0, `${model}: text`);
  assert.equal(whole.choices[0].finishReason, "length", `${model}: finish`);
  assert.equal(whole.usage.completionTokens, 24, `${model}: usage`);
  assert.notEqual(whole.systemFingerprint, undefined, `${model}: a fingerprint, if only null`);

  let text = "";
  let usage;
  const stream = await client.chat.send({ chatRequest: { ...ask, stream: true } });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, said, `${model}: a stream says the same`);
  assert.equal(usage.completionTokens, 24, `${model}: a stream's usage`);
  console.log(`openrouter ${model} ok`);
}

const credits = await client.credits.getCredits();
assert.ok(credits.data.totalCredits > 0, "credits");
const providers = await client.providers.list();
assert.ok(providers.data.length > 0, "providers");
console.log("openrouter credits and providers ok");
