"""How many heaps the threads of a program share."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8  # malloc.h of glibc
_NUM_HEAPS = 2


def share_heaps() -> bool:
    """Let all threads take their memory from two heaps; False: not with this C library.

    glibc gives up to eight heaps for each core, and each keeps what its threads needed at most.
    A node that runs for days starts threads now and then, on another heap each time, where an
    image leaves some 25 MiB behind: it would grow by that, again and again.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return bool(mallopt is not None and mallopt(_M_ARENA_MAX, _NUM_HEAPS))
