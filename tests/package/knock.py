"""Knocks at a port again and again, each time over a connection of its own, until its standard input ends: knock.py PORT CA.

Each knock is TCP, then TLS, then GET /healthz. At the end it says in one line of JSON how often it was answered, how often its connection
was refused, and what else kept it from an answer. It fails where anything did, or where it was never answered.
"""

import collections
import json
import socket
import ssl
import sys
import threading

PATIENCE = 60
REQUEST = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def knock(port, context):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with context.wrap_socket(connection, server_hostname="localhost") as secure:
            secure.sendall(REQUEST)
            answer = b""
            while piece := secure.recv(4096):
                answer += piece
    return answer.split(b"\r\n", 1)[0].decode()


over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
context = ssl.create_default_context(cafile=sys.argv[2])
met = collections.Counter(answered=0, refused=0)
while not over.wait(0.02):
    try:
        status = knock(int(sys.argv[1]), context)
        met["answered" if status.endswith(" 200 OK") else status] += 1
    except ConnectionRefusedError:
        met["refused"] += 1
    except OSError as error:
        met[f"{type(error).__name__}: {error}"] += 1
print(json.dumps(met))
sys.exit(0 if met["answered"] and sum(met.values()) == met["answered"] else 1)
