// The AI SDK as people use it, by each of its ways to an OpenAI-like server, with only the base URL and the key changed.
//
// The order, what is told and when a line is waited for are everyday.rs's. The CA is the one that NODE_EXTRA_CA_CERTS names. The SDK
// holds each answer against its own zod schemas, and an answer that does not fit is an error there.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../.tools/node/", import.meta.url));
const { APICallError, Output, embedMany, generateText, isStepCount, streamText, tool } = await import(require.resolve("ai"));
const { createOpenAI } = await import(require.resolve("@ai-sdk/openai"));
const { createOpenAICompatible } = await import(require.resolve("@ai-sdk/openai-compatible"));
const { z } = require("zod");

// A warning says that the SDK leaves something out of what is asked, and is a failure.
globalThis.AI_SDK_LOG_WARNINGS = ({ warnings }) => warnings.forEach((warning) => console.error(JSON.stringify(warning)));

const say = (fields) => console.log(JSON.stringify(fields));

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let order;

const WAYS = {
  "@ai-sdk/openai, chat": (key) => {
    const openai = createOpenAI({ baseURL: order.base_url, apiKey: key });
    // Of what the server refuses, this way has no option for anything.
    return { refused: null, model: (name) => openai.chat(name), embedding: (name) => openai.embedding(name) };
  },
  "@ai-sdk/openai, responses": (key) => {
    const openai = createOpenAI({ baseURL: order.base_url, apiKey: key });
    const refused = { openai: { previousResponseId: "resp_1" } };
    return { refused, model: (name) => openai.responses(name), embedding: (name) => openai.embedding(name) };
  },
  "@ai-sdk/openai-compatible": (key) => {
    const settings = { name: "box", baseURL: order.base_url, apiKey: key, includeUsage: true, supportsStructuredOutputs: true };
    const box = createOpenAICompatible(settings);
    const refused = { box: { web_search_options: {} } };
    return { refused, model: (name) => box.chatModel(name), embedding: (name) => box.embeddingModel(name) };
  },
};

// The class, the status and the code of an error, wherever the way keeps them; what is none of the server's is thrown on.
function told(failure) {
  if (APICallError.isInstance(failure)) {
    const code = failure.data?.error?.code ?? null;
    return { error: failure.name, status: failure.statusCode ?? null, code, message: failure.message };
  }
  // An error within a stream comes as its event has it: whole, its error alone, or its text alone.
  const event = failure.error ?? failure;
  const message = typeof event === "string" ? event : event.message;
  if (!message || failure instanceof TypeError) throw failure;
  return { error: failure.name ?? "event", code: event.code ?? null, message };
}

async function tried(step, run) {
  try {
    say({ step, ...(await run()) });
  } catch (failure) {
    say({ step, ...told(failure) });
  }
}

// Without chance in it, and never so long that it says nothing.
let settings;

// The text so far, and the error that ended it, if any.
async function streamed(model, prompt) {
  const stream = streamText({ ...settings, model, prompt, onError: () => {} });
  let text = "";
  let failure = null;
  for await (const part of stream.fullStream) {
    if (part.type === "text-delta") text += part.text;
    if (part.type === "error") failure = part.error;
  }
  if (failure) return { text, ...told(failure) };
  return { text, usage: (await stream.usage).totalTokens, finish: await stream.finishReason };
}

// A second turn, with the first answer as the SDK gives it: by Responses that is a name which the server is to know.
async function turn(model) {
  const asked = [{ role: "user", content: order.prompt }];
  const first = await generateText({ ...settings, model, messages: asked });
  const messages = [...asked, ...first.responseMessages, { role: "user", content: order.prompt }];
  const made = await generateText({ ...settings, model, messages });
  return { text: made.text, usage: made.usage.totalTokens, finish: made.finishReason };
}

const weather = tool({
  description: "Get the current weather",
  inputSchema: z.object({ city: z.enum(["Berlin", "Oslo"]) }),
  execute: async () => order.result,
});

// The SDK runs the tool and takes the second turn by itself.
async function tools(model, streams) {
  const prepareStep = ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? order.choice : "auto" });
  const rest = { tools: { get_weather: weather }, stopWhen: isStepCount(2), prepareStep };
  const asked = { ...settings, model, prompt: order.question, ...rest };
  const made = streams ? streamText(asked) : await generateText(asked);
  const steps = await made.steps;
  const calls = steps.flatMap((step) => step.toolCalls.map((call) => `${call.toolName} ${JSON.stringify(call.input)}`));
  return { calls, text: await made.text, finish: await made.finishReason };
}

async function schema(model) {
  const output = Output.object({ name: "fact", schema: z.object({ capital: z.enum(["Paris", "Oslo"]), large: z.boolean() }) });
  const made = await generateText({ ...settings, model, prompt: order.fact, output });
  return { value: made.output };
}

async function embeddings(model) {
  const made = await embedMany({ model, values: order.texts, maxRetries: 0 });
  return { vectors: made.embeddings, usage: made.usage.tokens };
}

// Two pieces of a stream, and then nobody is there any more.
async function left(model) {
  const controller = new AbortController();
  const stream = streamText({ model, prompt: order.story, maxRetries: 0, abortSignal: controller.signal, onError: () => {} });
  let text = "";
  let pieces = 0;
  for await (const part of stream.fullStream) {
    if (part.type !== "text-delta") continue;
    text += part.text;
    pieces += 1;
    if (pieces === 2) controller.abort();
  }
  return { text };
}

for (let line = await lines.next(); !line.done; line = await lines.next()) {
  order = JSON.parse(line.value);
  settings = { maxRetries: 0, temperature: 0, maxOutputTokens: order.limit };
  for (const [name, way] of Object.entries(WAYS)) {
    const box = way(order.key);
    const model = box.model(order.model);
    say({ client: `AI SDK ${require("ai/package.json").version}, ${name}` });
    await tried("chat", async () => {
      const made = await generateText({ ...settings, model, prompt: order.prompt });
      return { text: made.text, usage: made.usage.totalTokens, finish: made.finishReason };
    });
    await tried("stream", () => streamed(model, order.prompt));
    if (name.endsWith("responses")) await tried("turn", () => turn(model));
    await tried("tools", () => tools(model, false));
    await tried("tools", () => tools(model, true));
    await tried("schema", () => schema(model));
    await tried("embeddings", () => embeddings(box.embedding(order.embedding)));
    await tried("unknown", () => generateText({ model: box.model("no-such-model"), prompt: order.prompt, maxRetries: 0 }));
    await tried("wrong", () => generateText({ model: way("sk-wrong").model(order.model), prompt: order.prompt, maxRetries: 0 }));
    const { refused } = box;
    if (refused) await tried("refused", () => generateText({ model, prompt: order.prompt, providerOptions: refused, maxRetries: 0 }));
    if (order.failing) await tried("failing", () => streamed(box.model(order.failing), order.prompt));
    await tried("left", () => left(box.model(order.hanging)));
    // Whether the engine's work has ended is looked at while this program lives.
    await lines.next();
  }
  say({ step: "done" });
}
