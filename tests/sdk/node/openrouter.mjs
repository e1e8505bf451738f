// OpenRouter's own SDK, which checks every answer against its schema: chat and responses, whole and
// streamed, credits, providers, models.
// Arguments: base URL, key, models.

import assert from "node:assert/strict";
import { OpenRouter } from "@openrouter/sdk";

const [serverURL, apiKey, ...models] = process.argv.slice(2);
const client = new OpenRouter({ serverURL, apiKey });

// Behind this model is a provider of Responses, whose words pass as they are: the simulator leaves
// out members that this SDK wants.
const passed = new Set(["simulated/responsish"]);

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

  console.log(`openrouter ${model} chat ok`);
  if (passed.has(model)) continue;
  const input = "Say something about rivers.";
  const response = { model, input, maxOutputTokens: 24 };
  const answer = await client.responses.send({ responsesRequest: { ...response, stream: false } });
  assert.equal(answer.output.at(-1).content[0].text, said, `${model}: a response says the same`);
  assert.equal(answer.usage.outputTokens, 24, `${model}: a response's usage`);
  let pieces = "";
  let last;
  const events = await client.responses.send({ responsesRequest: { ...response, stream: true } });
  for await (const event of events) {
    if (event.type === "response.output_text.delta") pieces += event.delta;
    last = event.type;
  }
  assert.equal(pieces, said, `${model}: its events say the same`);
  assert.equal(last, "response.incomplete", `${model}: it was cut by its limit`);
  console.log(`openrouter ${model} responses ok`);
}

const credits = await client.credits.getCredits();
assert.ok(credits.data.totalCredits > 0, "credits");
const providers = await client.providers.list();
assert.ok(providers.data.length > 0, "providers");
console.log("openrouter credits and providers ok");
const listed = (await client.models.list()).result;
assert.ok(models.every((id) => listed.data.some((model) => model.id === id)), "models");
const [author, slug] = models[0].split("/");
const hosts = await client.endpoints.list({ author, slug });
assert.ok(hosts.data.endpoints.length > 0, "endpoints");
console.log("openrouter models and endpoints ok");
