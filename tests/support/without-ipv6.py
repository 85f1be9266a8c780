"""Runs a program as on a kernel that was built without IPv6: `without-ipv6.py PROGRAM [ARGUMENT]...`.

A seccomp filter answers socket(AF_INET6, ...) with EAFNOSUPPORT, in the program and in what it starts. It takes no
privilege, since a filter on oneself takes none.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

# include/uapi/linux/{prctl,seccomp,audit,bpf_common}.h; the number of socket(2) on each machine.
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}

machine, number = MACHINES[platform.machine()]
# struct seccomp_data: the call's number at 0, the machine at 4, the first argument's low half at 16.
program = [
    (LOAD_WORD, 0, 0, 4),
    (JUMP_IF_EQUAL, 0, 4, machine),
    (LOAD_WORD, 0, 0, 0),
    (JUMP_IF_EQUAL, 0, 2, number),
    (LOAD_WORD, 0, 0, 16),
    (JUMP_IF_EQUAL, 1, 0, socket.AF_INET6),
    (RETURN, 0, 0, ALLOW),
    (RETURN, 0, 0, ERRNO | errno.EAFNOSUPPORT),
]


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
filter = Filter(len(program), instructions)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter)):
    sys.exit(f"the filter is refused: {os.strerror(ctypes.get_errno())}")
try:
    socket.socket(socket.AF_INET6)
    sys.exit("the filter does nothing")
except OSError as error:
    if error.errno != errno.EAFNOSUPPORT:
        raise
os.execvp(sys.argv[1], sys.argv[1:])
