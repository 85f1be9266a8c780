"""Runs a program at a terminal and types what a person would: at-terminal.py [PROMPT ANSWER]... -- PROGRAM [ARGUMENT]...

Each answer is typed once its prompt stands there. What the terminal shows is copied to our own output; our exit code is the program's.
"""

import os
import pty
import sys

from terminal import shown

split = sys.argv.index("--")
expected = list(zip(sys.argv[1:split:2], sys.argv[2:split:2]))
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])

unread = b""
for piece in shown(terminal):
    os.write(1, piece)
    unread += piece
    while expected and expected[0][0].encode() in unread:
        prompt, answer = expected.pop(0)
        unread = unread[unread.index(prompt.encode()) + len(prompt) :]
        os.write(terminal, f"{answer}\n".encode())
if expected:
    print(f"It never asked: {expected[0][0]}", file=sys.stderr)
sys.exit(1 if expected else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
