"""Clients in Python that begin at once: forks of one process that has imported their libraries, which takes half a second each time.

`forks.py COMMAND...` runs COMMAND with the path of a socket in FORKS_GHOSTLLM, and ends with its exit code. Whoever connects there
(tests/support/bin/python-client.rs) sends the path of a script, and the script runs as its own child would: with its standard input,
output and error, in its network. Four bytes of exit code come back; whoever goes away before has the script killed.
"""

import ctypes
import os
import random
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile

# What the clients import, and what takes long of it.
import aioquic.asyncio.client  # noqa: F401
import aioquic.h3.connection  # noqa: F401

CLONE_NEWNET = 0x40000000


def of_whom(connection):
    pid, _uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return f"/proc/{pid}"


def become(caller, script):
    """In the fork: never returns."""
    code = 1
    try:
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, signal.SIG_DFL)
        network = os.open(f"{caller}/ns/net", os.O_RDONLY)
        for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
            os.dup2(os.open(f"{caller}/fd/{descriptor}", mode), descriptor)
        libc = ctypes.CDLL(None, use_errno=True)
        if os.stat(network).st_ino != os.stat("/proc/self/ns/net").st_ino and libc.setns(network, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        # The server's sockets are none of the client's.
        os.closerange(3, 1024)
        random.seed()
        sys.argv = [script]
        sys.path[0] = os.path.dirname(script)
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def serve(listener, parent):
    """Until the parent has gone."""
    watched = selectors.DefaultSelector()
    watched.register(listener, selectors.EVENT_READ, begin)
    watched.register(parent, selectors.EVENT_READ, lambda *_: os._exit(0))
    while True:
        for key, _ in watched.select():
            key.data(watched, key.fileobj)


def begin(watched, listener):
    connection, _ = listener.accept()
    script = connection.makefile("rb").readline().decode().rstrip("\n")
    caller = of_whom(connection)
    child = os.fork()
    if child == 0:
        become(caller, script)
    ended = os.pidfd_open(child)
    over = False

    def end(watched, _):
        nonlocal over
        over = True
        _, status = os.waitpid(child, 0)
        try:
            connection.sendall(struct.pack("<i", os.waitstatus_to_exitcode(status)))
        except OSError:
            # Nobody waits any more.
            pass
        watched.unregister(ended)
        if connection in watched.get_map():
            watched.unregister(connection)
        os.close(ended)
        connection.close()

    def leave(watched, _):
        # The same look may have seen its end first.
        if not over:
            watched.unregister(connection)
            signal.pidfd_send_signal(ended, signal.SIGKILL)

    watched.register(ended, selectors.EVENT_READ, end)
    watched.register(connection, selectors.EVENT_READ, leave)


def main():
    with tempfile.TemporaryDirectory(prefix="ghostllm-forks-") as place:
        path = os.path.join(place, "socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(128)
        # Ctrl-C is for the command alone.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        theirs, ours = os.pipe()
        if os.fork() == 0:
            os.close(ours)
            try:
                serve(listener, theirs)
            finally:
                # What is left of this function is the parent's, the socket's directory among it.
                sys.excepthook(*sys.exc_info())
                os._exit(1)
        os.close(theirs)
        listener.close()
        os.environ["FORKS_GHOSTLLM"] = path
        command = subprocess.Popen(sys.argv[1:], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        code = command.wait()
        os.close(ours)
        sys.exit(code if code >= 0 else 128 - code)


main()
