"""One request over HTTP/3 by aioquic, or the same one on many streams, told on standard input, reported on standard output.

The first line of input is the order as JSON: host, port, ca, name (whom the certificate must name; localhost by default),
method, path, authority, headers, body (hex), count; or fields in place of all from method to body, sent as they are. Each
line of output is one event as JSON: head, data (hex, with the milliseconds since the request), end, reset, each with the
index of its request, and closed. A further input line "leave" abandons the requests (RESET_STREAM and STOP_SENDING with
H3_REQUEST_CANCELLED) and keeps the connection; "stop" sends STOP_SENDING alone; "close" closes the connection; each is
reported as left, with the times of CLOCK_MONOTONIC in seconds at which the streams were. The end of input ends the program.
"""

import asyncio
import json
import sys
import time

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

REQUEST_CANCELLED = 0x10C


def say(event, **fields):
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.begun = time.monotonic()
        self.streams = {}
        self.open = set()
        self.over = asyncio.get_running_loop().create_future()

    def ask(self, order):
        self.begun = time.monotonic()
        for index in range(order["count"]):
            stream = self._quic.get_next_available_stream_id()
            self.streams[stream] = index
            self.open.add(stream)
            self.send(stream, order)
        self.transmit()

    def send(self, stream, order):
        if order.get("fields") is not None:
            fields = [(name.encode(), value.encode()) for name, value in order["fields"]]
            self.http.send_headers(stream, fields, end_stream=True)
            return
        headers = [
            (b":method", order["method"].encode()),
            (b":scheme", b"https"),
            (b":authority", order["authority"].encode()),
            (b":path", order["path"].encode()),
        ]
        headers += [(name.encode(), value.encode()) for name, value in order["headers"]]
        body = bytes.fromhex(order["body"])
        if body:
            headers.append((b"content-length", str(len(body)).encode()))
        self.http.send_headers(stream, headers, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)

    def leave(self, reset):
        at = []
        for stream in self.open:
            at.append(time.monotonic())
            self._quic.stop_stream(stream, REQUEST_CANCELLED)
            if reset:
                self.reset(stream)
            self.transmit()
        say("left", at=at)

    def reset(self, stream):
        try:
            self._quic.reset_stream(stream, REQUEST_CANCELLED)
        except Exception:
            # The request's side may have been finished and acknowledged already; the other half is what counts.
            pass

    def close_all(self):
        at = time.monotonic()
        self._quic.close()
        self.transmit()
        say("left", at=[at] * len(self.open))

    def quic_event_received(self, event):
        if isinstance(event, StreamReset) and event.stream_id in self.streams:
            say("reset", index=self.streams[event.stream_id], code=event.error_code)
            self.end(event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            say("closed", code=event.error_code, reason=event.reason_phrase)
            self.finish()
        for http_event in self.http.handle_event(event):
            self.http_event_received(http_event)

    def http_event_received(self, event):
        index = self.streams.get(getattr(event, "stream_id", None))
        if index is None:
            return
        if isinstance(event, HeadersReceived):
            headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            status = [int(value) for name, value in headers if name == ":status"]
            if status:
                headers = [pair for pair in headers if pair[0] != ":status"]
                say("head", index=index, status=status[0], headers=headers)
        elif isinstance(event, DataReceived) and event.data:
            passed = round((time.monotonic() - self.begun) * 1000, 1)
            say("data", index=index, hex=event.data.hex(), ms=passed)
        if getattr(event, "stream_ended", False):
            say("end", index=index)
            self.end(event.stream_id)

    def end(self, stream):
        self.open.discard(stream)
        if not self.open:
            self.finish()

    def finish(self):
        if not self.over.done():
            self.over.set_result(None)


async def main():
    loop = asyncio.get_running_loop()
    # The default line limit of 64 KiB is less than a large body in hex.
    lines = asyncio.StreamReader(limit=1 << 30)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    order = json.loads(await lines.readline())
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=H3_ALPN,
        server_name=order.get("name", "localhost"),
        cafile=order["ca"],
        idle_timeout=60.0,
    )
    async with connect(order["host"], order["port"], configuration=configuration, create_protocol=Client) as client:
        client.ask(order)
        left = False
        while not client.over.done() or left:
            line = asyncio.ensure_future(lines.readline())
            waits = [line] if left else [line, client.over]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                line.cancel()
                break
            said = line.result().strip()
            if said == b"leave":
                left = True
                client.leave(reset=True)
            elif said == b"stop":
                left = True
                client.leave(reset=False)
            elif said == b"close":
                left = True
                client.close_all()
            else:
                break


asyncio.run(main())
