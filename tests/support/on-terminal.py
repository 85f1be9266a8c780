"""Runs a program whose standard error is a terminal; what it writes there is copied to our own.

The program takes our process, so that a signal for it needs no messenger.
"""

import os
import pty
import sys

from terminal import shown

ours, its = pty.openpty()
if os.fork() == 0:
    os.close(its)
    for written in shown(ours):
        os.write(2, written)
    os._exit(0)
os.close(ours)
os.dup2(its, 2)
os.close(its)
os.execvp(sys.argv[1], sys.argv[1:])
