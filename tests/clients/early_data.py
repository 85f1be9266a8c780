"""A request in early data (0-RTT), by aioquic and by OpenSSL: the order on standard input, what came of it on standard output.

The order is one line of JSON: how ("quic" or "tls"), host, port, ca, path, fields (a list of pairs), body, and directory, which
is empty and the caller's. A first connection gets a ticket. The server has not said that it takes early data with it; the
client sends the request in early data all the same, and once more, or its loss, in the ordinary way. The one line of
output is JSON: client, ticket (bytes of early data that the ticket allows), sent (whether early data was sent), accepted, status.
"""

import asyncio
import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from aioquic import __version__ as aioquic_version
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.logger import QuicLogger

MOST = 0xFFFFFFFF


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.status = asyncio.get_running_loop().create_future()

    def ask(self, order):
        stream = self._quic.get_next_available_stream_id()
        fields = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", order["path"])]
        fields += order["fields"]
        self.http.send_headers(stream, [(name.encode(), value.encode()) for name, value in fields])
        self.http.send_data(stream, order["body"].encode(), end_stream=True)
        self.transmit()

    def quic_event_received(self, event):
        for http_event in self.http.handle_event(event):
            if isinstance(http_event, HeadersReceived) and not self.status.done():
                self.status.set_result(int(dict(http_event.headers)[b":status"]))


def configured(order, **more):
    return QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, server_name="localhost", cafile=order["ca"], **more
    )


async def quic(order):
    tickets = asyncio.Queue()
    first = connect(
        order["host"],
        order["port"],
        configuration=configured(order),
        session_ticket_handler=tickets.put_nowait,
        create_protocol=Client,
    )
    async with first:
        ticket = await asyncio.wait_for(tickets.get(), 10)
    log = QuicLogger()
    forged = configured(order, session_ticket=replace(ticket, max_early_data_size=MOST), quic_logger=log)
    again = connect(
        order["host"], order["port"], configuration=forged, create_protocol=Client, wait_connected=False
    )
    async with again as client:
        client.ask(order)
        status = await asyncio.wait_for(client.status, 10)
        accepted = client._quic.tls.early_data_accepted
    events = [event for trace in log.to_dict()["traces"] for event in trace["events"]]
    types = [event["data"]["header"]["packet_type"] for event in events if event["name"] == "transport:packet_sent"]
    return {
        "client": f"aioquic {aioquic_version}",
        "ticket": ticket.max_early_data_size or 0,
        "sent": "0RTT" in types,
        "accepted": bool(accepted),
        "status": status,
    }


def fields_of(der):
    """The fields of a SEQUENCE: first bytes and whole encodings."""

    def split(at):
        length, behind = der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, behind = int.from_bytes(der[behind : behind + size], "big"), behind + size
        return behind, behind + length

    at, end = split(0)
    while at < end:
        _, behind = split(at)
        yield der[at], der[at:behind]
        at = behind


def encoded(tag, content):
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def forge(session):
    """OpenSSL's session as if 16,384 bytes of early data were allowed: its field 15, which stands in order."""
    lines = session.read_text().split("-----")
    fields = [field for field in fields_of(base64.b64decode(lines[2])) if field[0] != 0xAF]
    before = b"".join(whole for tag, whole in fields if tag < 0xAF)
    behind = b"".join(whole for tag, whole in fields if tag > 0xAF)
    der = encoded(0x30, before + encoded(0xAF, encoded(0x02, (16384).to_bytes(2, "big"))) + behind)
    body = base64.encodebytes(der).decode()
    session.write_text(f"-----BEGIN SSL SESSION PARAMETERS-----\n{body}-----END SSL SESSION PARAMETERS-----\n")


def tls(order):
    directory = Path(order["directory"])
    session, early = directory / "session.pem", directory / "early"
    head = [f"POST {order['path']} HTTP/1.1", "Host: localhost", "Connection: close"]
    head += [f"{name}: {value}" for name, value in order["fields"]]
    head += [f"Content-Length: {len(order['body'])}", "", ""]
    request = ("\r\n".join(head) + order["body"]).encode()
    early.write_bytes(request)
    # A request that the engine does not see, whose answer brings the ticket along.
    first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    def client(said, *more):
        line = ["openssl", "s_client", "-connect", f"{order['host']}:{order['port']}", "-servername", "localhost"]
        line += ["-CAfile", order["ca"], "-verify_return_error", "-alpn", "http/1.1", "-tls1_3", "-ign_eof", *more]
        return subprocess.run(line, input=said, capture_output=True, timeout=20).stdout.decode(errors="replace")

    client(first, "-sess_out", session)
    shown = subprocess.run(["openssl", "sess_id", "-in", session, "-noout", "-text"], capture_output=True).stdout
    allowed = re.search(r"Max Early Data: (\d+)", shown.decode())
    forge(session)
    said = client(request, "-sess_in", session, "-early_data", early)
    status = re.search(r"HTTP/1\.1 (\d+)", said)
    version = subprocess.run(["openssl", "version"], capture_output=True).stdout.decode().split(" ")
    return {
        "client": " ".join(version[:2]),
        "ticket": int(allowed[1]) if allowed else 0,
        "sent": "Early data was rejected" in said or "Early data was accepted" in said,
        "accepted": "Early data was accepted" in said,
        "status": int(status[1]) if status else 0,
    }


def main():
    order = json.loads(sys.stdin.readline())
    print(json.dumps(asyncio.run(quic(order)) if order["how"] == "quic" else tls(order)), flush=True)


main()
