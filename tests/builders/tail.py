"""A file source on a directory of a test's own, with the checkpoint that its house would keep."""

import json

import msgspec

from ingest.api import StreamState
from ingest.connectors.sources.file import FileOptions, FileSource
from ingest.testing.clock import ManualClock
from tests.builders.sources import Events, all_values, context

MAX_LINE = 1000


class Tail:
    """A file source, and the checkpoint that its house would keep."""

    def __init__(self, directory, pattern="*.log*", *, once=False, **options):
        self.directory = directory
        self.clock = ManualClock()
        self.events = Events()
        self.once = once
        self.options = FileOptions(name="web", type="file", topic="logs", paths=[str(directory / pattern)], **options)
        self.entries = {}
        self.begun = 0
        self.handed_out = []
        self.source = None
        self.start()

    def start(self, once=None):
        """Begin as a new process does, with what the checkpoint remembers."""
        if self.source is not None:
            self.source.close()
        self.begun += 1
        given = context(
            self.directory,
            clock=self.clock,
            max_line=MAX_LINE,
            once=self.once if once is None else once,
            first_generation=100 * self.begun,
            events=self.events,
        )
        self.source = FileSource(self.options, given)
        self.source.resume([msgspec.convert(entry, StreamState) for entry in self.entries.values()])

    def expect(self, block):
        """Remember a block that was not acknowledged: its generation, and where it must end again."""
        state = json.loads(json.dumps(dict(block.state)))
        begin = int(block.positions[0])
        entry = {"generation": block.stream.generation, "path": block.stream.path, "position": begin, "sent": begin}
        self.entries[block.stream.generation] = entry | {"boundaries": [block.end], "state": {}, "birth": state}

    def everything(self):
        """Return all values that were ever handed out."""
        return self.handed_out

    def poll(self, seconds=1.0, acknowledge=True):
        """Let time pass, read all there is, acknowledge it; return the blocks."""
        self.clock.advance(seconds)
        blocks = self.source.poll(1 << 20)
        while self.source.next_poll() == 0:
            blocks += self.source.poll(1 << 20)
        self.handed_out += all_values(blocks)
        if acknowledge:
            for block in blocks:
                self.acknowledge(block)
        return blocks

    def acknowledge(self, block):
        state = json.loads(json.dumps(dict(block.state)))
        birth = self.entries.get(block.stream.generation, {}).get("birth", state)
        self.entries[block.stream.generation] = {
            "generation": block.stream.generation,
            "path": block.stream.path,
            "position": block.end,
            "sent": int(block.positions[-1]),
            "boundaries": [],
            "state": state,
            "birth": birth,
        }
        self.source.acknowledged(block.stream.generation, block.end)

    def values(self, seconds=1.0):
        return all_values(self.poll(seconds))

    def write(self, name, data, mode="ab"):
        with (self.directory / name).open(mode) as file:
            file.write(data)

    def rename(self, old, new):
        (self.directory / old).rename(self.directory / new)

    def said(self, text):
        return [fields for event, fields in self.events if text in event]


def tails(directory):
    """Yield what makes tails; for a fixture, as they are closed afterwards."""
    made = []

    def make(*arguments, **options):
        made.append(Tail(directory, *arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.source.close()
