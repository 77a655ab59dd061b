"""Runs a program as on a system that refuses system calls:
refuse.py NUMBER=ERRNO [NUMBER:ARGUMENT=ERRNO ...] PROGRAM ...

ARGUMENT restricts a refusal to calls with this first argument. The program's path must be absolute.
"""
import ctypes
import os
import struct
import sys

ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
code = []
while "=" in sys.argv[1] and not sys.argv[1].startswith("/"):
    call, _, errno = sys.argv.pop(1).partition("=")
    number, _, argument = call.partition(":")
    answer = (0x06, 0, 0, ERRNO | int(errno))
    code.append((0x20, 0, 0, 0))  # load the number of the system call
    if argument:
        code += [(0x15, 0, 3, int(number)), (0x20, 0, 0, 16), (0x15, 0, 1, int(argument)), answer]
    else:
        code += [(0x15, 0, 1, int(number)), answer]
code.append((0x06, 0, 0, ALLOW))
filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
program = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(filters)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
    raise OSError(ctypes.get_errno(), "prctl")
os.execv(sys.argv[1], sys.argv[1:])
