"""Runs a program on a terminal of 80 columns at which somebody types: `typed.py '[[WAIT, TYPE], ...]' PROGRAM ARGUMENTS...`.

Each text is typed once what is waited for has been shown. What the terminal showed goes to standard output, and behind it a line that
says whether it echoes still; the exit code is the program's, or 128 and the signal's number where that ended it.
"""

import fcntl
import json
import os
import pty
import struct
import sys
import termios

from terminal import shown as pieces

child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
turns = [(wait.encode(), typed.encode()) for wait, typed in json.loads(sys.argv[1])]
shown, seen = b"", 0
for piece in pieces(terminal):
    shown += piece
    if turns and (at := shown.find(turns[0][0], seen)) >= 0:
        seen = at + len(turns[0][0])
        os.write(terminal, turns.pop(0)[1])
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
echoes = termios.tcgetattr(terminal)[3] & termios.ECHO != 0
sys.stdout.buffer.write(shown + f"\nnot typed: {len(turns)}; echoes: {echoes}\n".encode())
sys.exit(code if code >= 0 else 128 - code)
