"""Has the disk begin to take what was written, so that the fsync before a commit finds little left to do.

Only a hint, and Linux's: without it the same happens later, all at once, while a commit waits.
"""

from __future__ import annotations

import ctypes

_SYNC_FILE_RANGE_WRITE = 2  # of sync_file_range(2): begin to write out, and wait for nothing
_call = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _call is not None:
    _call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def begin_write_back(descriptor: int, start: int, length: int) -> None:
    """Begin to write out [start, start + length) of a file. Promises nothing; what fails shows at the fsync."""
    if _call is not None:
        _call(descriptor, start, length, _SYNC_FILE_RANGE_WRITE)
