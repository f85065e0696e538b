"""Settings of this process that make long runs faster. None is needed: where one can't be had, the default stays.

What each is worth was measured with `ingest sink`, JSON of 211 bytes to typed Parquet, on two cores; see
docs/performance.md.

    malloc keeps freed memory     arrays of megabytes come and go all the time. By default each is mapped anew, and the
                                  kernel clears every page of it again: 7 % of the rate with four partitions
    the garbage collector         leaves alone what was loaded at the start, and looks for cycles less often: what flows
      looks less often            are few large objects without cycles. 4 % of the rate with four partitions
"""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_MAPPED = 32 << 20
"""Allocations from this size on are mapped by themselves: the most that glibc takes."""
_KEPT = 256 << 20
"""Free memory at the end of the heap that is kept, not given back."""
_NEW_OBJECTS = 100_000


def tune() -> None:
    """Set all of them, at the start of a long run, once everything is loaded."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # Where it does not take a value it says 0, and nothing is lost. Setting one ends glibc's adjustment of both.
        mallopt(_M_MMAP_THRESHOLD, _MAPPED)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
