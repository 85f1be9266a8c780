// Many streamed chats by node:http2, over one connection: the order on standard input, what was read on standard output.
//
// The order is one line of JSON: url, ca, key, body, runs, parallel, pace (seconds between two reads). The first line of
// output is {"client": ...}, then one line for each run: status, text, end (clean, reset), why.
import { readFileSync } from "node:fs";
import http2 from "node:http2";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const say = (fields) => console.log(JSON.stringify(fields));

async function one(session, order, path) {
  const run = { status: 0, text: "", end: "clean", why: "" };
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    authorization: `Bearer ${order.key}`,
    "content-type": "application/json",
  });
  stream.setEncoding("utf8");
  stream.setTimeout(20_000, () => stream.close(http2.constants.NGHTTP2_CANCEL));
  stream.on("response", (headers) => (run.status = headers[":status"]));
  stream.end(order.body);
  try {
    for await (const piece of stream) {
      run.text += piece;
      if (order.pace) await sleep(order.pace * 1000);
    }
  } catch (error) {
    run.end = "reset";
    run.why = `${error.code} ${error.message}`;
  }
  say(run);
}

const lines = createInterface({ input: process.stdin });
const order = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
lines.close();
say({ client: `Node ${process.version} http2, nghttp2 ${process.versions.nghttp2}` });
const url = new URL(order.url);
const session = http2.connect(url.origin, { ca: readFileSync(order.ca) });
let left = order.runs;
const work = async () => {
  while (left-- > 0) await one(session, order, url.pathname);
};
await Promise.all(Array.from({ length: order.parallel }, work));
session.close();
