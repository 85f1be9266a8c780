"""A QUIC stream of which every second byte is sent, by aioquic: the order on standard input, what came of it on standard output.

The order is one line of JSON: host, port, ca, fragments. Each byte is a STREAM frame, and the first byte of the stream is never
sent. The one line of output is JSON: client, packets, arrived (bytes that were acknowledged),
closed (the code and the reason of the connection's end, if the server has ended it).
"""

import asyncio
import json
import sys
import time
from importlib.metadata import version

from aioquic.asyncio.client import connect
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet_builder import QuicDeliveryState

# For all of it, on a busy machine.
PATIENCE = 40.0


async def main():
    order = json.loads(sys.stdin.readline())
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, server_name="localhost", cafile=order["ca"], idle_timeout=60.0
    )
    count = order["fragments"]
    async with connect(order["host"], order["port"], configuration=configuration) as client:
        quic = client._quic
        stream = quic.get_next_available_stream_id()
        quic.send_stream_data(stream, b"a" * (2 * count))
        sender = quic._streams[stream].sender
        # What is to be sent: bytes 1, 3, 5 and so on. Adding them one by one would look at all each time, as would noting each.
        sender._pending._RangeSet__ranges = [range(at, at + 1) for at in range(1, 2 * count, 2)]
        arrived, note = 0, sender.on_data_delivery

        def delivered(delivery, start, stop, fin=False):
            nonlocal arrived
            if delivery == QuicDeliveryState.ACKED:
                arrived += stop - start
            else:
                note(delivery, start, stop, fin)

        sender.on_data_delivery = delivered
        begun = time.monotonic()
        client.transmit()
        while arrived < count and not quic._close_event and time.monotonic() - begun < PATIENCE:
            await asyncio.sleep(0.02)
            client.transmit()
        packets = quic._packet_number
        end = quic._close_event
        closed = {"code": end.error_code, "reason": end.reason_phrase} if end else None
        say = {"client": f"aioquic {version('aioquic')}", "packets": packets, "arrived": arrived, "closed": closed}
        print(json.dumps(say), flush=True)


asyncio.run(main())
