// openai-node as people use it, with only the base URL, the key and the CA changed.
//
// The order on standard input is one line of JSON: base_url, key, prompt, model, failing (a model whose stream fails), embedding (a
// model that makes vectors), runs.
// Told on standard output: {"client": ...}, then {"step": ..., and what was seen} for each step. The CA is the one that
// NODE_EXTRA_CA_CERTS names.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../.tools/node/", import.meta.url));
const OpenAI = require("openai");

const say = (fields) => console.log(JSON.stringify(fields));
const told = (failure) => ({ error: failure.constructor.name, message: failure.message, code: failure.code });

// The text, the last usage, and the error that ended it, if any.
async function stream(client, order, model) {
  let text = "";
  let usage = null;
  try {
    const chunks = await client.chat.completions.create({
      model,
      messages: [{ role: "user", content: order.prompt }],
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of chunks) {
      for (const choice of chunk.choices) text += choice.delta.content ?? "";
      usage = chunk.usage?.total_tokens ?? usage;
    }
  } catch (failure) {
    if (!(failure instanceof OpenAI.APIError)) throw failure;
    return { text, usage, ...told(failure) };
  }
  return { text, usage };
}

// The vectors and the usage, or the error.
async function embeddings(client, model, input, more = {}) {
  try {
    const made = await client.embeddings.create({ model, input, ...more });
    const vectors = made.data.map((item) => Array.from(item.embedding));
    return { vectors, usage: made.usage.total_tokens };
  } catch (failure) {
    if (!(failure instanceof OpenAI.APIError)) throw failure;
    return told(failure);
  }
}

const lines = createInterface({ input: process.stdin });
const order = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
lines.close();
say({ client: `openai-node ${require("openai/version").VERSION}, Node ${process.version}` });
const messages = [{ role: "user", content: order.prompt }];
const settings = { baseURL: order.base_url, apiKey: order.key, maxRetries: 0, timeout: 20_000 };
const client = new OpenAI(settings);
const models = [];
for await (const model of client.models.list()) models.push(model.id);
say({ step: "models", models });
const whole = await client.chat.completions.create({ model: order.model, messages });
say({ step: "whole", text: whole.choices[0].message.content, usage: whole.usage.total_tokens });
say({ step: "stream", ...(await stream(client, order, order.model)) });
const texts = ["hello", "world"];
// By itself it asks for base64.
say({ step: "embeddings", ...(await embeddings(client, order.embedding, texts)) });
say({ step: "embeddings", ...(await embeddings(client, order.embedding, texts, { encoding_format: "float" })) });
say({ step: "embeddings", ...(await embeddings(client, order.embedding, "hello", { dimensions: 16 })) });
say({ step: "embeddings", ...(await embeddings(client, order.embedding, [1, 2, 3])) });
say({ step: "embeddings", ...(await embeddings(client, order.model, "hello")) });
for (let run = 0; run < order.runs; run++) say({ step: "failing", ...(await stream(client, order, order.failing)) });
try {
  await client.chat.completions.create({ model: "no-such-model", messages });
} catch (failure) {
  if (!(failure instanceof OpenAI.NotFoundError)) throw failure;
  say({ step: "unknown", ...told(failure) });
}
try {
  await new OpenAI({ ...settings, apiKey: "sk-wrong" }).models.list();
  say({ step: "wrong" });
} catch (failure) {
  if (!(failure instanceof OpenAI.AuthenticationError)) throw failure;
  say({ step: "wrong", ...told(failure) });
}
