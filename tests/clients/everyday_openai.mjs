// openai-node and chats as people use them, with only the base URL and the key changed.
//
// The order, what is told and when a line is waited for are everyday.rs's. The CA is the one that NODE_EXTRA_CA_CERTS names.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../.tools/node/", import.meta.url));
const OpenAI = require("openai");
const { zodFunction, zodResponseFormat } = require("openai/helpers/zod");
const { z } = require("zod");

const say = (fields) => console.log(JSON.stringify(fields));

function told(failure) {
  if (!(failure instanceof OpenAI.APIError)) throw failure;
  return { error: failure.constructor.name, status: failure.status ?? null, code: failure.code, message: failure.message };
}

async function tried(step, run) {
  try {
    say({ step, ...(await run()) });
  } catch (failure) {
    say({ step, ...told(failure) });
  }
}

const user = (content) => [{ role: "user", content }];
const seen = (answer) => {
  const [choice] = answer.choices;
  return { text: choice.message.content ?? "", usage: answer.usage?.total_tokens, finish: choice.finish_reason };
};

// The text so far stands beside the error that ended it.
async function streamed(client, model, prompt) {
  let text = "";
  try {
    const options = { stream_options: { include_usage: true } };
    const stream = client.chat.completions.stream({ ...settled, model, messages: user(prompt), ...options });
    stream.on("content", (delta) => (text += delta));
    return seen(await stream.finalChatCompletion());
  } catch (failure) {
    return { text, ...told(failure) };
  }
}

// The library runs the function and takes the second turn by itself; what forces a call does so in the first alone.
async function tools(client, model) {
  const calls = [];
  const weather = zodFunction({
    name: "get_weather",
    description: "Get the current weather",
    parameters: z.object({ city: z.enum(["Berlin", "Oslo"]) }),
    function: (given) => {
      calls.push(`get_weather ${JSON.stringify(given)}`);
      return order.result;
    },
  });
  const asked = { ...settled, model, messages: user(order.question), tools: [weather] };
  if (order.choice !== "auto") {
    const first = await client.chat.completions.parse({ ...asked, tool_choice: order.choice });
    const { message } = first.choices[0];
    const results = message.tool_calls.map((call) => {
      return { role: "tool", tool_call_id: call.id, content: weather.$callback(call.function.parsed_arguments) };
    });
    const messages = [...asked.messages, message, ...results];
    return { ...seen(await client.chat.completions.create({ ...asked, messages })), calls };
  }
  const runner = client.chat.completions.runTools({ ...asked, stream: true, stream_options: { include_usage: true } });
  return { ...seen(await runner.finalChatCompletion()), calls };
}

async function schema(client, model) {
  const fact = z.object({ capital: z.enum(["Paris", "Oslo"]), large: z.boolean() });
  const asked = { ...settled, model, messages: user(order.fact), response_format: zodResponseFormat(fact, "fact") };
  return { value: (await client.chat.completions.parse(asked)).choices[0].message.parsed };
}

async function embeddings(client, model) {
  const made = await client.embeddings.create({ model, input: order.texts });
  return { vectors: made.data.map((item) => Array.from(item.embedding)), usage: made.usage.total_tokens };
}

// Two pieces of a stream, and then nobody is there any more.
async function left(client, model) {
  let text = "";
  let pieces = 0;
  const stream = await client.chat.completions.create({ temperature: 0, model, messages: user(order.story), stream: true });
  for await (const piece of stream) {
    const said = piece.choices[0].delta.content ?? "";
    text += said;
    pieces += said ? 1 : 0;
    if (pieces === 2) break;
  }
  return { text };
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let order;
// Without chance in it, and never so long that it says nothing.
let settled;
for (let line = await lines.next(); !line.done; line = await lines.next()) {
  order = JSON.parse(line.value);
  settled = { temperature: 0, max_completion_tokens: order.limit };
  const settings = { baseURL: order.base_url, apiKey: order.key, maxRetries: 0, timeout: 20_000 };
  const client = new OpenAI(settings);
  const { model, prompt } = order;
  const asked = (messages, more = {}) => ({ ...settled, model, messages, ...more });
  say({ client: `openai-node ${require("openai/version").VERSION}, Node ${process.version}` });
  await tried("chat", async () => seen(await client.chat.completions.create(asked(user(prompt)))));
  await tried("stream", () => streamed(client, model, prompt));
  await tried("tools", () => tools(client, model));
  await tried("schema", () => schema(client, model));
  await tried("embeddings", () => embeddings(client, order.embedding));
  const unknown = asked(user(prompt), { model: "no-such-model" });
  await tried("unknown", async () => seen(await client.chat.completions.create(unknown)));
  const stranger = new OpenAI({ ...settings, apiKey: "sk-wrong" });
  await tried("wrong", async () => seen(await stranger.chat.completions.create(asked(user(prompt)))));
  await tried("refused", async () => seen(await client.chat.completions.create(asked(user(prompt), { web_search_options: {} }))));
  if (order.failing) await tried("failing", () => streamed(client, order.failing, prompt));
  await tried("left", () => left(client, order.hanging));
  await lines.next();
  say({ step: "done" });
}
