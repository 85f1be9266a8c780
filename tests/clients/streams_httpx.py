"""Many streamed chats by httpx, over HTTP/1.1 or HTTP/2: the order on standard input, what was read on standard output.

The order is one line of JSON: url, ca, key, body, version (h1, h2), runs, parallel, pace (seconds between two reads).
The first line of output is {"client": ...}, then one line for each run: status, text, end (clean, reset), why.
"""

import asyncio
import json
import ssl
import sys
from importlib.metadata import version

import httpx


def say(**fields):
    print(json.dumps(fields), flush=True)


async def one(client, order):
    run = {"status": 0, "text": "", "end": "clean", "why": ""}
    pieces = []
    try:
        async with client.stream("POST", order["url"], content=order["body"]) as answer:
            run["status"] = answer.status_code
            async for piece in answer.aiter_raw():
                pieces.append(piece)
                if order["pace"]:
                    await asyncio.sleep(order["pace"])
    except httpx.HTTPError as error:
        run["end"], run["why"] = "reset", repr(error)
    say(**{**run, "text": b"".join(pieces).decode()})


async def main():
    order = json.loads(sys.stdin.readline())
    second = order["version"] == "h2"
    say(client=f"httpx {httpx.__version__}" + (f", h2 {version('h2')}" if second else ""))
    headers = {"authorization": f"Bearer {order['key']}", "content-type": "application/json"}
    # One connection carries every stream of HTTP/2, as many as are in parallel those of HTTP/1.1.
    limits = httpx.Limits(max_connections=1 if second else order["parallel"])
    context = ssl.create_default_context(cafile=order["ca"])
    left = iter(range(order["runs"]))
    async with httpx.AsyncClient(
        http1=not second, http2=second, verify=context, headers=headers, limits=limits, timeout=20, trust_env=False
    ) as client:

        async def work():
            for _ in left:
                await one(client, order)

        await asyncio.gather(*(work() for _ in range(order["parallel"])))


asyncio.run(main())
