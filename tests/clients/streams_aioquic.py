"""Many streamed chats by aioquic, over one HTTP/3 connection: the order on standard input, what was read on standard output.

The order is one line of JSON: host, port, ca, key, path, body, runs, parallel, window (bytes of a stream that may be on the
way; 0 for aioquic's own). The first line of output is {"client": ...}, then one line for each run: status, text, end
(clean, reset), why.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset


def say(**fields):
    print(json.dumps(fields), flush=True)


class Run:
    def __init__(self):
        self.status, self.pieces = 0, []
        self.over = asyncio.get_running_loop().create_future()

    def end(self, end, why=""):
        if not self.over.done():
            self.over.set_result((end, why))


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.runs = {}

    async def ask(self, order):
        stream = self._quic.get_next_available_stream_id()
        run = self.runs[stream] = Run()
        body = order["body"].encode()
        fields = {
            ":method": "POST",
            ":scheme": "https",
            ":authority": "localhost",
            ":path": order["path"],
            "authorization": f"Bearer {order['key']}",
            "content-type": "application/json",
            "content-length": str(len(body)),
        }
        self.http.send_headers(stream, [(name.encode(), value.encode()) for name, value in fields.items()])
        self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        end, why = await asyncio.wait_for(run.over, 20)
        del self.runs[stream]
        say(status=run.status, text=b"".join(run.pieces).decode(), end=end, why=why)

    def quic_event_received(self, event):
        if isinstance(event, StreamReset) and event.stream_id in self.runs:
            self.runs[event.stream_id].end("reset", f"reset {event.error_code:#x}")
        elif isinstance(event, ConnectionTerminated):
            for run in self.runs.values():
                run.end("closed", f"{event.error_code:#x} {event.reason_phrase}")
        for http_event in self.http.handle_event(event):
            run = self.runs.get(getattr(http_event, "stream_id", None))
            if run is None:
                continue
            if isinstance(http_event, HeadersReceived):
                run.status = next((int(value) for name, value in http_event.headers if name == b":status"), run.status)
            elif isinstance(http_event, DataReceived):
                run.pieces.append(http_event.data)
            if getattr(http_event, "stream_ended", False):
                run.end("clean")


async def main():
    order = json.loads(sys.stdin.readline())
    say(client=f"aioquic {version('aioquic')}")
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, server_name="localhost", cafile=order["ca"], idle_timeout=60.0
    )
    if order["window"]:
        configuration.max_stream_data = order["window"]
    left = iter(range(order["runs"]))
    async with connect(order["host"], order["port"], configuration=configuration, create_protocol=Client) as client:

        async def work():
            for _ in left:
                await client.ask(order)

        await asyncio.gather(*(work() for _ in range(order["parallel"])))


asyncio.run(main())
