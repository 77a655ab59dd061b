"""Runs a program, the arguments of this one, as on a kernel without Landlock: its system calls do not exist."""
import ctypes
import os
import struct
import sys

ALLOW, NO_SUCH_CALL = 0x7FFF0000, 0x00050026  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with ENOSYS
code = [
    (0x20, 0, 0, 0),  # the number of the system call
    (0x35, 0, 2, 444),  # landlock_create_ruleset,
    (0x25, 1, 0, 446),  # landlock_add_rule and landlock_restrict_self
    (0x06, 0, 0, NO_SUCH_CALL),
    (0x06, 0, 0, ALLOW),
]
filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
program = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(filters)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
    raise OSError(ctypes.get_errno(), "prctl")
os.execv(sys.argv[1], sys.argv[1:])
