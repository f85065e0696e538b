"""What tests of sources need: a context, options, and lines back from blocks."""

import itertools

from ingest.api import SourceContext
from ingest.testing.clock import ManualClock


class Events(list):
    """Collects what a source says through `SourceContext.event`."""

    def __call__(self, text, **fields):
        self.append((text, fields))


def context(directory, *, clock=None, max_line=1 << 20, once=False, first_generation=1, events=None):
    numbers = itertools.count(first_generation)
    return SourceContext(
        clock=clock or ManualClock(),
        host="here",
        max_line=max_line,
        once=once,
        new_generation=lambda: next(numbers),
        spool=directory / "spool",
        event=Events() if events is None else events,
    )


def values(block):
    return [block.data[start:end] for start, end in zip(block.starts, block.ends, strict=True)]


def all_values(blocks):
    return [value for block in blocks for value in values(block)]
