"""One life of shipping: from the durable checkpoint until all is done, or until something fails for good.

A session that fails is thrown away, and the next begins where the checkpoint stands: there is one way to begin, and it
is the one that a crash takes.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ingest.api import SourceOptions
from ingest.blocks import LineBlock
from ingest.clock import Clock
from ingest.errors import IngestError, Unavailable
from ingest.ship.batching import Batch, Gathering
from ingest.ship.checkpoint import Checkpoint
from ingest.ship.entry import Entry
from ingest.ship.ledger import Ledger, Parcel
from ingest.ship.pace import Pace
from ingest.ship.partitions import Topic
from ingest.ship.ports import Connections, Health, Log
from ingest.ship.status import ShippedStream, shipped

_SHARE: Final = 1 << 20  # bytes that one source may hand out at least before the others have their turn
_WAITING: Final = 4  # one part in so many of the bytes in flight may wait for company
_NAP: Final = 0.2  # seconds until the stop flag is looked at again
_SILENT: Final = 15.0  # seconds without a word from any broker after which Kafka counts as gone
_STUCK: Final = 30.0  # seconds without an acknowledgement after which a batch counts as stuck
_SURVEY: Final = 2.0  # seconds
_SURVEY_SHARE: Final = 100
_BEAT: Final = 60.0  # seconds within which a round must end


def random_generation() -> int:
    """Return 64 random bits."""
    return int.from_bytes(os.urandom(8), "big")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session is given besides its connections.

    Attributes:
        checkpoint: where progress is durable.
        clock: time.
        metrics: `ingest.service.metrics.Metrics`, or the like.
        health: where to say how it goes.
        log: where to say what a person should know.
        max_inflight: bytes read and not yet acknowledged at which reading stops.
        save_interval: seconds between saves of mere progress.
        new_generation: returns a fresh random 64-bit id.
    """

    checkpoint: Checkpoint
    clock: Clock
    metrics: Any
    health: Health
    log: Log
    max_inflight: int = 16 << 20
    save_interval: float = 0.5
    new_generation: Callable[[], int] = random_generation


class Session:
    """Sources → parcels → batches → producer → acknowledgements → checkpoint, and round again.

    All methods are called from one thread; only the producer's callbacks come from others.

    Raises:
        Unavailable: no broker answers.
        StateDamaged: a source does not understand its state.
    """

    def __init__(self, connections: Connections, ledger: Ledger, around: Surroundings) -> None:
        self.progress = False
        """Something was acknowledged in this session."""
        self.streams: list[ShippedStream] = []
        self._ledger = ledger
        self._sources = connections.sources
        self._producer = connections.producer
        self._topics = {
            name: Topic(self._producer.partitions(name), self._producer.topic_id(name))
            for name in {source.options.topic for source in self._sources}
        }
        self._around = around
        self._gathering = Gathering(around.max_inflight // _WAITING)
        self._outcomes: queue.SimpleQueue[tuple[Batch, IngestError | None]] = queue.SimpleQueue()
        self._awake = threading.Event()
        self._inflight = 0
        """Bytes read and not yet acknowledged, wherever they are."""
        self._sent: dict[int, tuple[Batch, float]] = {}
        """Batches whose outcome is not known, the oldest first, and when they were sent."""
        self._due = [float("-inf") for _ in self._sources]
        self._saving = Pace(around.save_interval)
        self._surveying = Pace(_SURVEY, _SURVEY_SHARE)
        self._disk_trouble = ""
        self._end_lost_generations()
        for source in self._sources:
            source.resume(ledger.states(source.options.name, source.options.topic))
        self._persist(both=True)

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop` is set, or every source is finished and everything is acknowledged.

        Raises:
            IngestError: something could not be sent: this session is over.
        """
        while not stop.is_set() and not self.finished():
            self.step()
            self._rest()

    def step(self) -> None:
        """Go round once, without waiting; errors as `run`."""
        self._settle()
        self._read()
        self._save()
        self._send()
        self._survey()

    def finished(self) -> bool:
        """Whether nothing is left to read or to hear of."""
        return self._inflight == 0 and not self._ledger.waiting and all(source.finished() for source in self._sources)

    def drain(self, timeout: float) -> bool:
        """Read no more; wait for what is on its way at most `timeout` seconds; return whether all of it is durable.

        Raises:
            IngestError: something could not be sent.
        """
        deadline = self._around.clock.monotonic() + timeout
        if self._ledger.waiting:
            self._persist(both=True)
        for batch in self._gathering.take_due(float("inf")):
            self._hand_over(batch)
        self._settle()
        while self._sent and self._around.clock.monotonic() < deadline:
            self._wait(_NAP)
            self._settle()
        saved = not self._ledger.changed or self._persist(both=False)
        return saved and self._inflight == 0

    # ── the round ──

    def _settle(self) -> None:
        """Take note of everything that became known about what was sent."""
        while not self._outcomes.empty():
            batch, error = self._outcomes.get_nowait()
            if error is not None:
                raise error
            del self._sent[id(batch)]
            for parcel in batch.parcels:
                self._resolve(parcel)
        if self._producer.broken:
            raise Unavailable("the connection to Kafka broke for good; beginning again from the checkpoint")

    def _read(self) -> None:
        """Ask the sources for more, as long as the bound on bytes in flight allows."""
        share = max(_SHARE, self._around.max_inflight // (2 * len(self._sources)))
        for index, source in enumerate(self._sources):
            room = self._around.max_inflight - self._inflight
            if room <= 0:
                source.absorb()
            elif self._around.clock.monotonic() >= self._due[index]:
                for block in source.poll(min(room, share)):
                    self._accept(block, source.options)
                self._due[index] = self._around.clock.monotonic() + source.next_poll()
        self._around.metrics.ship_inflight_bytes.set(self._inflight)

    def _save(self) -> None:
        """Save mere progress now and then; at once what parcels wait for, but after a failure only now and then too."""
        waiting = bool(self._ledger.waiting)
        due = self._saving.due(self._around.clock.monotonic())
        if (waiting and not self._disk_trouble) or (due and (waiting or self._ledger.changed)):
            self._persist(both=waiting)

    def _send(self) -> None:
        """Send what has lingered long enough; everything, once there is nothing left to read."""
        over = all(source.finished() for source in self._sources)
        for batch in self._gathering.take_due(float("inf") if over else self._around.clock.monotonic()):
            self._hand_over(batch)

    def _survey(self) -> None:
        """Now and then: forget streams that are gone, note where the others are, say how it goes."""
        begin = self._around.clock.monotonic()
        self._around.health.beat("ship", within=_BEAT)
        if not self._surveying.due(begin):
            return
        rows: list[ShippedStream] = []
        for source in self._sources:
            self._ledger.forget(source.forgettable())
            streams = source.status()
            rows += shipped(source.options.name, streams, self._ledger.entries)
            count = sum(1 for stream in streams if stream.generation)
            self._around.metrics.ship_streams.labels(source.options.name).set(count)
            self._around.metrics.ship_deleted.labels(source.options.name).set(sum(one.deleted for one in streams))
            self._around.metrics.ship_unread.labels(source.options.name).set(len(streams) - count)
        self._report()
        self._ledger.count(int(row.generation, 16) for row in rows if row.generation)
        self.streams = rows
        self._surveying.done(begin, self._around.clock.monotonic())

    def _report(self) -> None:
        health = self._around.health
        silence = self._producer.contact_age()
        heard = silence < _SILENT
        health.report("kafka", heard, "" if heard else f"no broker was heard for {silence:.0f}s")
        health.report("checkpoint", not self._disk_trouble, self._disk_trouble)
        stuck = self._stuck()
        health.report("ship", not stuck, stuck)

    def _stuck(self) -> str:
        """Return what has waited too long for an acknowledgement; "" = nothing."""
        if not self._sent:
            return ""
        batch, sent_at = next(iter(self._sent.values()))
        waited = self._around.clock.monotonic() - sent_at
        if waited < _STUCK:
            return ""
        where = f"topic {batch.topic} partition {batch.partition}"
        return f"lines for {where} have waited for {waited:.0f}s: is the topic still there, and has it a leader?"

    # ── one parcel ──

    def _accept(self, block: LineBlock, options: SourceOptions) -> None:
        metrics = self._around.metrics
        metrics.ship_lines.labels(options.name).inc(block.rows)
        metrics.ship_bytes.labels(options.name).inc(int((block.ends - block.starts).sum()))
        for reason, lines in block.dropped.items():
            metrics.ship_dropped.labels(options.name, reason).inc(lines)
        self._inflight += block.nbytes
        parcel = self._ledger.accept(block, options, self._topics[options.topic])
        if parcel is not None:
            self._forward(parcel)

    def _forward(self, parcel: Parcel) -> None:
        if parcel.block.rows == 0:  # its state alone is news
            self._resolve(parcel)
            return
        batch = self._gathering.add(parcel, self._around.clock.monotonic())
        if batch is not None:
            self._hand_over(batch)

    def _hand_over(self, batch: Batch) -> None:
        self._sent[id(batch)] = batch, self._around.clock.monotonic()
        segments = [(parcel.block, parcel.header) for parcel in batch.parcels]
        self._producer.send(batch.topic, batch.partition, segments, partial(self._done, batch))

    def _done(self, batch: Batch, error: IngestError | None) -> None:
        """Hear of a batch's outcome, on a thread of the producer's."""
        self._outcomes.put((batch, error))
        self._awake.set()

    def _resolve(self, parcel: Parcel) -> None:
        self._inflight -= parcel.block.nbytes
        moved = self._ledger.resolve(parcel)
        self._around.metrics.ship_acked_bytes.labels(parcel.source).inc(moved)
        self.progress = True

    # ── durability ──

    def _persist(self, both: bool) -> bool:
        """Save; a full disk stops the durable position and new generations, nothing else, until it has room again."""
        begin = self._around.clock.monotonic()
        try:
            entries = self._ledger.entries
            changed = [entries[generation] for generation in self._ledger.dirty]
            self._around.checkpoint.save(entries.values(), changed, self._ledger.forgotten, both)
        except OSError as error:
            why = f"{self._around.checkpoint.directory}: {error.strerror or error}"
            if not self._disk_trouble:
                self._around.log.error("checkpoint can't be saved, the durable position stands still", why=why)
            self._disk_trouble = why
            return False
        finally:
            self._saving.done(begin, self._around.clock.monotonic())
        if self._disk_trouble:
            self._around.log.info("checkpoint is saved again", directory=str(self._around.checkpoint.directory))
        self._disk_trouble = ""
        self._around.metrics.checkpoint_seconds.set(self._around.clock.now())
        self._tell_sources(self._ledger.saved())
        if both:
            for parcel in self._ledger.release():
                self._forward(parcel)
        return True

    def _tell_sources(self, moved: list[Entry]) -> None:
        for source in self._sources:
            for entry in moved:
                if (entry.source, entry.topic) == (source.options.name, source.options.topic):
                    source.acknowledged(entry.id, entry.position)

    def _end_lost_generations(self) -> None:
        for old, new in self._ledger.end_lost(self._topics, self._around.new_generation):
            self._around.log.warning(
                "partition is gone: a new generation goes on, lines sent and not acknowledged may be repeated",
                path=old.path,
                topic=old.topic,
                partition=old.partition,
                generation=old.generation,
                successor=new.generation,
                position=new.position,
            )

    # ── waiting ──

    def _rest(self) -> None:
        """Wait until there is something to do, but never long: the stop flag can't wake us."""
        now = self._around.clock.monotonic()
        times = [self._gathering.next_due()]
        if self._inflight < self._around.max_inflight:
            times += self._due
        if self._ledger.changed:
            times.append(self._saving.next)
        self._wait(min(_NAP, max(0.0, min(times) - now)))

    def _wait(self, seconds: float) -> None:
        self._awake.wait(seconds)
        self._awake.clear()
