"""Memory that threads leave behind."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys

import pytest

if not hasattr(ctypes.CDLL(None), 'malloc_info'):
    pytest.skip('needs glibc, whose heaps it counts', allow_module_level=True)

PROGRAM = """
import ctypes, sys, threading
from cerfevpr_ros.heaps import share_heaps

if sys.argv[1] == 'shared':
    assert share_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(6)


def work():
    libc.malloc(ctypes.c_size_t(5000))
    together.wait()  # all at once, so that none takes over the heap of one that ended


threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, 'stdout'))
libc.fflush(None)
"""


def num_heaps(how: str) -> int:
    told = subprocess.run(
        [sys.executable, '-c', PROGRAM, how], capture_output=True, text=True, check=True
    )
    return len(re.findall('<heap nr', told.stdout))


def test_threads_share_two_heaps_instead_of_one_each():
    assert num_heaps('shared') == 2
    assert num_heaps('apart') > 2
