"""Runs a program as on the kernel of RHEL 8, Linux 4.18: later system calls are not there.

usage: old_kernel.py PROGRAM ARGUMENT...

A filter (seccomp(2)) answers each call with a number above the last one of 4.18 by ENOSYS, as that kernel would. It
holds for all that the program starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

_LAST_OF_4_18 = 334
"""rseq(2), on x86_64."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_GREATER, _RETURN = 0x20, 0x25, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

# Of linux/filter.h: what it does, where it goes on if so and if not, a value. The number of the call comes first in
# what the filter is given.
_FILTER = (
    (_LOAD, 0, 0, 0),
    (_JUMP_IF_GREATER, 1, 0, _LAST_OF_4_18),
    (_RETURN, 0, 0, _ALLOW),
    (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def main(command: list[str]) -> None:
    """Become the program."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in _FILTER)
    program = _Program(len(_FILTER), code)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program)),
    ):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
