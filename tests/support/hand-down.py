"""Hands sockets down to a program, as systemd does (sd_listen_fds(3)): `hand-down.py NAME=KIND:WHERE... -- PROGRAM [ARGUMENT]...`.

A KIND is the mode of the file of a Unix socket that listens (`0660:/run/admin.sock`), or `abstract`, `datagram`, `deaf` (it
does not listen), all with their paths; or `tcp` or `udp` with an address and a port (`tcp:[::]:443`, where IPv6's all takes IPv4
as well), of which `v6only` and `reuseport` are kinds of TCP that are bound so, and `silent` one that does not listen. Without
any NAME, no names are told at all.
"""

import fcntl
import os
import socket
import sys



def internet(kind: str, where: str) -> socket.socket:
    host, port = where.rsplit(":", 1)
    six = host.startswith("[")
    made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    if six:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, kind == "v6only")
    if kind == "reuseport":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if kind != "udp":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host.strip("[]"), int(port)))
    if kind not in ("udp", "silent"):
        made.listen()
    return made


split = sys.argv.index("--")
names, sockets = [], []
for given in sys.argv[1:split]:
    name, what = given.split("=", 1)
    kind, where = what.split(":", 1)
    if kind in ("tcp", "udp", "v6only", "reuseport", "silent"):
        made = internet(kind, where)
    elif kind == "datagram":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.bind(where)
    else:
        made = socket.socket(socket.AF_UNIX)
        made.bind("\0" + where if kind == "abstract" else where)
        if kind.isdigit():
            os.chmod(where, int(kind, 8))
        if kind != "deaf":
            made.listen()
    names.append(name)
    # Out of the way of the places that they get.
    sockets.append(fcntl.fcntl(made, fcntl.F_DUPFD, 100))
    made.detach()
for place, made in enumerate(sockets, 3):
    os.dup2(made, place, inheritable=True)
    os.close(made)
# What Python's own took.
os.closerange(3 + len(sockets), 100)
os.environ["LISTEN_FDS"] = str(len(sockets))
os.environ["LISTEN_PID"] = str(os.getpid())
if any(names):
    os.environ["LISTEN_FDNAMES"] = ":".join(names)
os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
