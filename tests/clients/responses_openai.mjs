// openai-node and the Responses API as people use it, with only the base URL, the key and the CA changed.
//
// The order on standard input is one line of JSON: base_url, key, prompt, model, failing (a model whose stream fails). Told on
// standard output: {"client": ...}, then {"step": ..., and what was seen} for each step. The CA is the one that
// NODE_EXTRA_CA_CERTS names.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../.tools/node/", import.meta.url));
const OpenAI = require("openai");

const say = (fields) => console.log(JSON.stringify(fields));
const told = (failure) => ({ error: failure.constructor.name, code: failure.code, param: failure.param });
const tools = [
  {
    type: "function",
    name: "get_weather",
    description: "Get the current weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    strict: false,
  },
];

// The text, the types of the events, the last response's usage, and the error that ended it, if any.
async function streamed(client, model, prompt) {
  let text = "";
  let usage = null;
  const events = [];
  try {
    for await (const event of await client.responses.create({ model, input: prompt, stream: true })) {
      events.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
      if (event.type === "response.completed") usage = event.response.usage.total_tokens;
    }
  } catch (failure) {
    if (!(failure instanceof OpenAI.APIError)) throw failure;
    return { text, events, ...told(failure) };
  }
  return { text, events, usage };
}

// A call of a function, its result in a second turn, and what is said then.
async function called(client, model) {
  const question = { role: "user", content: "What is the weather in Paris?" };
  const first = await client.responses.stream({ model, input: [question], tools }).finalResponse();
  const [call] = first.output;
  const result = { type: "function_call_output", call_id: call.call_id, output: "18 degrees, sunny" };
  const sent = ({ parsed_arguments, ...item }) => item;
  const second = await client.responses.create({ model, input: [question, ...first.output.map(sent), result], tools });
  return { call: `${call.name} ${JSON.stringify(JSON.parse(call.arguments))}`, text: second.output_text };
}

const lines = createInterface({ input: process.stdin });
const order = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
lines.close();
say({ client: `openai-node ${require("openai/version").VERSION}, Responses` });
const client = new OpenAI({ baseURL: order.base_url, apiKey: order.key, maxRetries: 0, timeout: 20_000 });
const whole = await client.responses.create({ model: order.model, input: order.prompt, instructions: "Be brief." });
say({ step: "whole", text: whole.output_text, usage: whole.usage.total_tokens });
say({ step: "stream", ...(await streamed(client, order.model, order.prompt)) });
say({ step: "tools", ...(await called(client, order.model)) });
say({ step: "failing", ...(await streamed(client, order.failing, order.prompt)) });
try {
  await client.responses.create({ model: order.model, input: order.prompt, previous_response_id: "resp_1" });
} catch (failure) {
  if (!(failure instanceof OpenAI.BadRequestError)) throw failure;
  say({ step: "refused", ...told(failure) });
}
