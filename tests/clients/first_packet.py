"""Prints the first datagram of a QUIC client by aioquic, as hex: an Initial packet that any server would answer."""

import time

from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

connection = QuicConnection(configuration=QuicConfiguration(alpn_protocols=H3_ALPN, server_name="localhost"))
connection.connect(("::1", 443), now=time.time())
print(connection.datagrams_to_send(now=time.time())[0][0].hex())
