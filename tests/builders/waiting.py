"""Waiting for another process or the kernel, without a guess how long it takes."""

import time

PATIENCE = 30.0


def until(look):
    """Return what `look` returns once that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)
    return found
