// Many streamed chats by Node's fetch, over HTTP/1.1: the order on standard input, what was read on standard output.
//
// The order is one line of JSON: url, key, body, runs, parallel, pace (seconds between two reads); the CA is the one that
// NODE_EXTRA_CA_CERTS names. The first line of output is {"client": ...}, then one line for each run: status, text, end
// (clean, reset), why.
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const say = (fields) => console.log(JSON.stringify(fields));

async function one(order) {
  const run = { status: 0, text: "", end: "clean", why: "" };
  const decoder = new TextDecoder();
  const headers = { authorization: `Bearer ${order.key}`, "content-type": "application/json" };
  try {
    const signal = AbortSignal.timeout(20_000);
    const answer = await fetch(order.url, { method: "POST", headers, body: order.body, signal });
    run.status = answer.status;
    for await (const piece of answer.body) {
      run.text += decoder.decode(piece, { stream: true });
      if (order.pace) await sleep(order.pace * 1000);
    }
  } catch (error) {
    run.end = "reset";
    run.why = `${error} ${error.cause ?? ""}`;
  }
  say(run);
}

const lines = createInterface({ input: process.stdin });
const order = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
lines.close();
say({ client: `Node ${process.version} fetch, undici ${process.versions.undici}` });
let left = order.runs;
const work = async () => {
  while (left-- > 0) await one(order);
};
await Promise.all(Array.from({ length: order.parallel }, work));
