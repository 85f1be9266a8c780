// openai-node as people use it, by chats and by Responses, with only the base URL and the key changed.
//
// The order, what is told and when a line is waited for are everyday.rs's. The CA is the one that NODE_EXTRA_CA_CERTS names.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../.tools/node/", import.meta.url));
const OpenAI = require("openai");
const { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } = require("openai/helpers/zod");
const { z } = require("zod");

const say = (fields) => console.log(JSON.stringify(fields));

function told(failure) {
  if (!(failure instanceof OpenAI.APIError)) throw failure;
  const { code, param, message } = failure;
  return { error: failure.constructor.name, status: failure.status ?? null, code, param, message };
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

const fact = z.object({ capital: z.enum(["Paris", "Oslo"]), large: z.boolean() });

async function schema(client, model) {
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

// A response ends where its status says so, and for want of tokens where its details do.
const read = (response) => {
  const finish = response.status === "completed" ? "stop" : response.incomplete_details.reason;
  return { text: response.output_text, usage: response.usage.total_tokens, finish };
};

// The text so far and the types of the events stand beside the error that ended them, if any.
async function events(client, model, input) {
  let text = "";
  let last;
  const kinds = [];
  try {
    for await (const event of await client.responses.create({ ...held, model, input, stream: true })) {
      kinds.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
      last = event;
    }
  } catch (failure) {
    return { text, events: kinds, ...told(failure) };
  }
  const { usage, status } = last.response;
  return { text, events: kinds, usage: usage.total_tokens, finish: status === "completed" ? "stop" : status };
}

// A call of the function, and its result in a second turn with all that came in the first.
async function called(client, model) {
  const weather = zodResponsesFunction({
    name: "get_weather",
    description: "Get the current weather",
    parameters: z.object({ city: z.enum(["Berlin", "Oslo"]) }),
  });
  const asked = { ...held, model, tools: [weather] };
  const input = user(order.question);
  const first = await client.responses.stream({ ...asked, input, tool_choice: order.choice }).finalResponse();
  const made = first.output.filter((item) => item.type === "function_call");
  if (made.length === 0) return { ...read(first), calls: [] };
  const results = made.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: order.result }));
  // What the library has read out of them is none of the API's.
  const sent = ({ parsed_arguments, ...item }) => item;
  const second = await client.responses.parse({ ...asked, input: [...input, ...first.output.map(sent), ...results] });
  return { ...read(second), calls: made.map((call) => `${call.name} ${JSON.stringify(call.parsed_arguments)}`) };
}

async function formed(client, model) {
  const text = { format: zodTextFormat(fact, "fact") };
  return { value: (await client.responses.parse({ ...held, model, input: order.fact, text })).output_parsed };
}

// Two pieces of a stream, and then nobody is there any more.
async function forsaken(client, model) {
  let text = "";
  let pieces = 0;
  const stream = await client.responses.create({ temperature: 0, model, input: order.story, stream: true });
  for await (const event of stream) {
    if (event.type !== "response.output_text.delta") continue;
    text += event.delta;
    pieces += 1;
    if (pieces === 2) break;
  }
  return { text };
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let order;
// Without chance in it, and never so long that it says nothing; in a chat's words and in those of Responses.
let settled;
let held;

async function chats(settings) {
  const client = new OpenAI(settings);
  const { model, prompt } = order;
  const asked = (messages, more = {}) => ({ ...settled, model, messages, ...more });
  const chat = async (who, more = {}) => seen(await who.chat.completions.create(asked(user(prompt), more)));
  await tried("chat", () => chat(client));
  await tried("stream", () => streamed(client, model, prompt));
  await tried("tools", () => tools(client, model));
  await tried("schema", () => schema(client, model));
  await tried("embeddings", () => embeddings(client, order.embedding));
  await tried("unknown", () => chat(client, { model: "no-such-model" }));
  await tried("wrong", () => chat(new OpenAI({ ...settings, apiKey: "sk-wrong" })));
  await tried("refused", () => chat(client, { web_search_options: {} }));
  if (order.failing) await tried("failing", () => streamed(client, order.failing, prompt));
  await tried("left", () => left(client, order.hanging));
}

async function responses(settings) {
  const client = new OpenAI(settings);
  const { model, prompt } = order;
  const respond = async (who, more = {}) => read(await who.responses.create({ ...held, model, input: prompt, ...more }));
  await tried("chat", () => respond(client, { instructions: "Be brief." }));
  await tried("stream", () => events(client, model, prompt));
  await tried("tools", () => called(client, model));
  await tried("schema", () => formed(client, model));
  await tried("embeddings", () => embeddings(client, order.embedding));
  await tried("unknown", () => respond(client, { model: "no-such-model" }));
  await tried("wrong", () => respond(new OpenAI({ ...settings, apiKey: "sk-wrong" })));
  await tried("refused", () => respond(client, { previous_response_id: "resp_1" }));
  if (order.failing) await tried("failing", () => events(client, order.failing, prompt));
  await tried("left", () => forsaken(client, order.hanging));
}

for (let line = await lines.next(); !line.done; line = await lines.next()) {
  order = JSON.parse(line.value);
  settled = { temperature: 0, max_completion_tokens: order.limit };
  held = { temperature: 0, max_output_tokens: order.limit };
  const settings = { baseURL: order.base_url, apiKey: order.key, maxRetries: 0, timeout: 20_000 };
  for (const [name, way] of Object.entries({ chat: chats, responses })) {
    say({ client: `openai-node ${require("openai/version").VERSION}, ${name}, Node ${process.version}` });
    await way(settings);
    await lines.next();
  }
  say({ step: "done" });
}
