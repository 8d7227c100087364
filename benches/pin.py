"""Keeps the bytes of all sessions of a folder in memory until its input ends: a process that
`benches/growth.py --pin` starts, as root.

Some virtual machines take what is in the page cache away again within seconds (DAMON's `pageout`), so that a
walk through a million files would measure the disk. What is locked into memory stays.
"""

import ctypes
import mmap
import os
import sys

MAP_LOCKED, MAP_POPULATE = 0x2000, 0x8000
FAILED = ctypes.c_void_p(-1).value


def main() -> None:
    folder = sys.argv[1]
    os.chdir(folder)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    flags = mmap.MAP_SHARED | MAP_LOCKED | MAP_POPULATE
    for name in os.listdir("."):
        if name.endswith(".session"):
            file = os.open(name, os.O_RDONLY)
            if libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ, flags, file, 0) == FAILED:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            os.close(file)
    print("ready", flush=True)
    sys.stdin.read()


main()
