// Vercel's `ai` with OpenRouter's provider: the same observable result for every model.
// Arguments: base URL, key, models.

import assert from "node:assert/strict";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [baseURL, apiKey, ...models] = process.argv.slice(2);
const openrouter = createOpenRouter({ baseURL, apiKey });

const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny in ${city}.`,
});

for (const id of models) {
  const model = openrouter(id);
  const prompt = "Say something about rivers.";

  const whole = await generateText({ model, prompt, maxOutputTokens: 24 });
  assert.ok(whole.text.length > 0, `${id}: text`);
  assert.equal(whole.finishReason, "length", `${id}: finish`);
  assert.equal(whole.usage.outputTokens, 24, `${id}: usage`);

  const stream = streamText({ model, prompt, maxOutputTokens: 24 });
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  assert.equal(text, whole.text, `${id}: a stream says the same`);
  assert.equal(await stream.finishReason, "length", `${id}: a stream's finish`);
  assert.equal((await stream.usage).outputTokens, 24, `${id}: a stream's usage`);

  const called = await generateText({
    model,
    prompt: "What is the weather in Oslo?",
    tools: { weather },
    stopWhen: stepCountIs(2),
  });
  const calls = called.steps.flatMap((step) => step.toolCalls);
  assert.equal(calls.length >= 1, true, `${id}: a tool is called`);
  assert.equal(calls[0].toolName, "weather", `${id}: the tool's name`);
  assert.equal(typeof calls[0].input.city, "string", `${id}: the tool's input`);
  console.log(`ai ${id} ok`);
}

await assert.rejects(
  generateText({ model: openrouter("no/such-model"), prompt: "x", maxRetries: 0 }),
  (error) => error.statusCode === 404,
);
console.log("ai errors ok");
