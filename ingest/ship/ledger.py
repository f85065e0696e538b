"""Every generation that is being shipped: its entry in the checkpoint, and its blocks on their way. No I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from ingest.api import SourceOptions, StreamState
from ingest.blocks import LineBlock, Stream
from ingest.ship.acks import Acks, Progress, Ticket
from ingest.ship.entry import Entry
from ingest.ship.partitions import Topic, choose


@dataclass(frozen=True, slots=True)
class Parcel:
    """A block with where it goes, how long it may linger, the value of its header `ingest-src`, and its ticket."""

    block: LineBlock
    source: str
    topic: str
    partition: int
    linger: float
    header: bytes
    ticket: Ticket


def introduction(stream: Stream, entry: Entry) -> bytes:
    """Return the value of the header `ingest-src`: canonical JSON (sorted keys, no spaces, UTF-8)."""
    return msgspec.json.encode(
        {
            "generation": entry.generation,
            "host": stream.host,
            "path": stream.path,
            "source": stream.source,
            "labels": dict(stream.labels),
            "topic": entry.topic,
            "partition": entry.partition,
            "begin": entry.begin,
        },
        order="sorted",
    )


class Ledger:
    """The entries as they would be saved now.

    A parcel may leave only when its generation, and a boundary at its end, are durable: until then it is in `waiting`,
    and so is all that follows it in its generation.
    """

    def __init__(self, entries: Mapping[int, Entry]) -> None:
        self.entries = dict(entries)
        self.waiting: list[Parcel] = []
        self.dirty: set[int] = set()
        """Generations whose entry differs from what was saved last."""
        self.forgotten: set[int] = set()
        """Generations that were there then and are no more."""
        self._held: set[int] = set()
        self._acks: dict[int, Acks] = {}
        self._moved: set[int] = set()
        self._streams: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.count(self.entries)

    @property
    def changed(self) -> bool:
        """Return whether something differs from what was saved last."""
        return bool(self.dirty or self.forgotten)

    def count(self, live: Iterable[int]) -> None:
        """Take note which generations are being read: new ones go where the fewest are."""
        self._streams.clear()
        for generation in live:
            if (entry := self.entries.get(generation)) is not None:
                self._streams[entry.topic][entry.partition] += 1

    def states(self, source: str, topic: str) -> list[StreamState]:
        """Return what a source is to resume with."""
        return [
            StreamState(
                entry.id, entry.path, entry.position, entry.sent, entry.boundaries, dict(entry.state), dict(entry.birth)
            )
            for entry in self.entries.values()
            if (entry.source, entry.topic) == (source, topic)
        ]

    def accept(self, block: LineBlock, options: SourceOptions, topic: Topic) -> Parcel | None:
        """Track a block that a source handed out; None = it waits.

        Args:
            block: the block, read after all others of its generation.
            options: its source's.
            topic: the source's topic.
        """
        generation = block.stream.generation
        entry = self.entries.get(generation)
        if entry is None:
            entry = self._born(block, options, topic)
            self._held.add(generation)
        if block.boundary and block.end not in entry.boundaries:
            entry = self._change(entry, boundaries=(*entry.boundaries, block.end))
            self._held.add(generation)
        progress = Progress(block.end, int(block.positions[-1]), block.state)
        ticket = self._acks.setdefault(generation, Acks()).track(progress)
        header = introduction(block.stream, entry)
        parcel = Parcel(block, options.name, entry.topic, entry.partition, options.linger, header, ticket)
        if generation in self._held:
            self.waiting.append(parcel)
            return None
        return parcel

    def release(self) -> list[Parcel]:
        """Return the parcels that waited: the entries are durable in both copies of the checkpoint."""
        released, self.waiting = self.waiting, []
        self._held.clear()
        return released

    def resolve(self, parcel: Parcel) -> int:
        """Take note that a parcel is in Kafka; return by how many bytes its generation's position moved."""
        generation = parcel.block.stream.generation
        progress = self._acks[generation].resolve(parcel.ticket)
        if progress is None:
            return 0
        entry = self.entries[generation]
        self._change(
            entry,
            position=progress.position,
            sent=progress.sent,
            boundaries=tuple(place for place in entry.boundaries if place > progress.position),
            state=dict(progress.state),
        )
        self._moved.add(generation)
        return progress.position - entry.position

    def saved(self) -> list[Entry]:
        """Take note that the entries are durable; return those that moved since the last time."""
        moved = [self.entries[generation] for generation in self._moved]
        self._moved.clear()
        self.dirty.clear()
        self.forgotten.clear()
        return moved

    def forget(self, generations: Iterable[int]) -> None:
        """Drop the entries of which nothing is on its way."""
        for generation in generations:
            if generation in self.entries and not self._acks.get(generation):
                self._drop(generation)
                self._acks.pop(generation, None)
                self._moved.discard(generation)

    def end_lost(self, topics: Mapping[str, Topic], new_generation: Callable[[], int]) -> list[tuple[Entry, Entry]]:
        """End generations whose partition is no more; return each with the new one that goes on at its position.

        Args:
            topics: by name; others are left alone.
            new_generation: returns a fresh id.
        """
        ours = [entry for entry in self.entries.values() if entry.topic in topics]
        ended = []
        for old in ours:
            topic = topics[old.topic]
            if topic.still_has(old.partition, old.topic_id):
                continue
            generation = new_generation()
            partition = choose(topic.partitions, self._streams[old.topic], generation)
            new = old.renewed(generation, partition, topic.id)
            self._drop(old.id)
            self._set(new)
            self._streams[new.topic][new.partition] += 1
            ended.append((old, new))
        return ended

    def _born(self, block: LineBlock, options: SourceOptions, topic: Topic) -> Entry:
        partition = choose(topic.partitions, self._streams[options.topic], block.stream.generation)
        begin = int(block.positions[0])
        entry = Entry(
            generation=f"{block.stream.generation:016x}",
            source=options.name,
            topic=options.topic,
            path=block.stream.path,
            partition=partition,
            begin=begin,
            position=begin,
            sent=begin,
            birth=dict(block.state),
            topic_id=topic.id,
        )
        self._streams[entry.topic][partition] += 1
        return self._set(entry)

    def _change(self, entry: Entry, **changes: object) -> Entry:
        return self._set(msgspec.structs.replace(entry, **changes))

    def _set(self, entry: Entry) -> Entry:
        self.entries[entry.id] = entry
        self.dirty.add(entry.id)
        return entry

    def _drop(self, generation: int) -> None:
        del self.entries[generation]
        self.dirty.discard(generation)
        self.forgotten.add(generation)
