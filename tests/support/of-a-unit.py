"""Runs a program as systemd starts one of a unit: `of-a-unit.py UNIT PROGRAM [ARGUMENT]...`.

Its standard output and error are a stream of the journal's (systemd.exec(5), `StandardError=journal`), which says whose it is: journald
believes that of root where the process has no cgroup of its own.
"""

import fcntl
import os
import socket
import struct
import sys
import termios
import time

unit, program = sys.argv[1:3]
stream = socket.socket(socket.AF_UNIX)
stream.connect("/run/systemd/journal/stdout")
stream.shutdown(socket.SHUT_RD)
# The identifier, the unit, the priority of a line, whether `<3>` before one is another, and three ways to forward it.
stream.sendall(f"{os.path.basename(program)}\n{unit}\n6\n1\n0\n0\n0\n".encode())
# With the first line, an empty one that it keeps nowhere, journald knows the process, and of whom the daemon's own messages are: once it
# has read it, which takes a busy machine longer.
stream.sendall(b"\n")
while struct.unpack("i", fcntl.ioctl(stream, termios.TIOCOUTQ, bytes(4)))[0]:
    time.sleep(0.01)
time.sleep(0.2)
facts = os.fstat(stream.fileno())
os.environ["JOURNAL_STREAM"] = f"{facts.st_dev}:{facts.st_ino}"
os.dup2(stream.fileno(), 1)
os.dup2(stream.fileno(), 2)
os.execvp(program, sys.argv[2:])
