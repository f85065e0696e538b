"""Reads the systemd journal through journalctl; the journal itself keeps what is not in Kafka yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np

from ingest.api import (
    Assembler,
    ConfigError,
    Duration,
    LineBlock,
    Refused,
    Source,
    SourceContext,
    SourceOptions,
    StateDamaged,
    Stream,
    StreamState,
    StreamStatus,
    option,
)
from ingest.connectors.command.complaints import Complaints
from ingest.connectors.command.run import Run
from ingest.connectors.command.times import pause_after
from ingest.connectors.journal.cursor import Place, judge, missing
from ingest.connectors.journal.entries import Cutter, Entry
from ingest.connectors.journal.probe import check, words

_CHUNK: Final = 1 << 20
_LEAST: Final = 64 << 10
_FIRST_NAP: Final = 0.01  # seconds; doubled while nothing comes
_LONGEST_NAP: Final = 0.1  # seconds
_TELL: Final = 60.0  # seconds between two words on the same trouble
_HEARD: Final = 4096  # bytes of what journalctl says that are looked at
_MATCH: Final = re.compile(r"[A-Z0-9_]+=.*", re.DOTALL)


class JournaldOptions(SourceOptions):
    """Options of the source "journald"."""

    units: Annotated[
        list[str], option("Only entries of these units; left out: of all.", example=["nginx.service"])
    ] = []
    matches: Annotated[
        list[str],
        option(
            'Only entries with these members, "FIELD=value": of one field any, of several fields all.',
            example=["_TRANSPORT=stdout", "PRIORITY=3"],
        ),
    ] = []
    directory: Annotated[
        str | None,
        option("Where the journal is, if it is not this machine's own.", example="/mnt/var/log/journal", absolute=True),
    ] = None
    start_at: Annotated[
        Literal["beginning", "end"], option("Where the first start begins: with the oldest entry, or with new ones.")
    ] = "beginning"
    restart: Annotated[
        Duration,
        option("journalctl is started again after so long, later where it fails quickly, at most 1m.", ge=0.01),
    ] = Duration(1.0)

    def __post_init__(self) -> None:
        """Refuse what makes no sense for entries, which are JSON on one line each."""
        super().__post_init__()
        if self.encoding != "utf-8":
            raise ConfigError("encoding", "entries are JSON in UTF-8, whatever is in them: leave it out")
        if self.multiline is not None:
            raise ConfigError("multiline", "an entry is one line, newlines in its message are escaped: leave it out")
        for unit in self.units:
            if not unit or unit.startswith("-"):
                raise ConfigError("units", f'"{unit}" is no name of a unit')
        for match in self.matches:
            if not _MATCH.fullmatch(match):
                raise ConfigError("matches", f'"{match}": expected "FIELD=value", such as "PRIORITY=3"')


class JournaldSource(Source[JournaldOptions]):
    """One stream. An entry is one line; positions count the bytes of these lines.

    After a crash journalctl begins with the last acknowledged entry, so that the others come again with the same
    positions. Where the journal has it no more, entries are lost: that is said, and a new generation begins.

    Raises:
        Refused: journalctl is missing, or may not read the journal.
    """

    Options: ClassVar[type[SourceOptions]] = JournaldOptions

    program: str = "journalctl"
    """What is run; another one in tests."""

    def __init__(self, options: JournaldOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._framing = options.framing(context.max_line)
        self._selection = [sorted(options.units), sorted(options.matches)]
        self._complaints = Complaints(context.event)
        self._over_generations: list[int] = []
        self._serial = 0
        self._first = self._cursor = ""
        """The generation's first entry, and the last one that was handed out."""
        self._place = Place(newest=options.start_at == "end", now=int(context.clock.now() * 1_000_000))
        self._decision = ""
        self._changed = False
        """The options say which entries, and say so otherwise than when the place was noted."""
        self._begin_generation("new")
        self._run: Run | None = None
        self._cutter = Cutter()
        self._joined = False
        """The run's first entry came."""
        self._heard = b""
        self._turn = 0.0
        self._pause: float | None = None
        self._missing = 0
        self._told_at = float("-inf")
        self._over = False
        self._nap = _FIRST_NAP

    def resume(self, states: Sequence[StreamState]) -> None:
        """See `Source.resume`; journalctl is started."""
        known = sorted(((_understood(state), state) for state in states), key=lambda each: each[0]["serial"])
        self._over_generations = [state.generation for _, state in known[:-1]]
        if known:
            self._go_on(*known[-1])
        self._turn = self.context.clock.monotonic()
        self.check()
        self._start_again()

    def poll(self, max_bytes: int) -> list[LineBlock]:
        """See `Source.poll`."""
        now = self.context.clock.monotonic()
        if self._run is None and not self._over and now >= self._turn:
            self._start_again()
        blocks = [] if self._run is None else self._read(self._run, min(_CHUNK, max(_LEAST, max_bytes)), now)
        self._tell_missing(now)
        self._nap = _FIRST_NAP if blocks else min(_LONGEST_NAP, 2 * self._nap)
        return blocks

    def next_poll(self) -> float:
        """See `Source.next_poll`."""
        if self._run is None:
            return self._nap if self._over else max(0.0, self._turn - self.context.clock.monotonic())
        return 0.0 if self._run.readable() else self._nap

    def acknowledged(self, generation: int, position: int) -> None:
        """See `Source.acknowledged`: the journal keeps its entries as it likes."""

    def finished(self) -> bool:
        """See `Source.finished`: with `once` at the end of the journal."""
        return self._over

    def forgettable(self) -> Iterable[int]:
        """See `Source.forgettable`."""
        return self._over_generations

    def status(self) -> list[StreamStatus]:
        """See `Source.status`."""
        return [StreamStatus(self._stream.generation, self._stream.path, self._lines.position, None, self._decision)]

    def close(self) -> None:
        """See `Source.close`: journalctl is ended; what it printed and nobody read comes again."""
        run, self._run = self._run, None
        if run is not None:
            run.stop()
            run.end()

    # ── generations ──

    def _go_on(self, known: Mapping[str, Any], state: StreamState) -> None:
        """Take up the generation that the checkpoint remembers; another one where the options are others by now."""
        self._serial = known["serial"]
        self._first, self._cursor = known["first"], known["cursor"]
        self._place = Place(self._cursor) if state.state or not self._first else Place(self._first, kept=True)
        self._changed = known["selection"] != self._selection
        if not self._changed and known["framing"] == self._framing.to_json():
            self._continue(state.generation, state.position, state.sent, "resumed")
            return
        self._over_generations.append(state.generation)
        self._begin_generation("new: options changed")
        self.context.event(
            "options changed: a new generation goes on, lines sent and not acknowledged may be repeated",
            generation=f"{state.generation:016x}",
            successor=f"{self._stream.generation:016x}",
        )

    def _begin_generation(self, decision: str) -> None:
        self._serial += 1
        self._first = ""
        self._continue(self.context.new_generation(), 0, 0, decision)

    def _continue(self, generation: int, position: int, sent: int, decision: str) -> None:
        name = self.options.name
        self._stream = Stream(generation, self.context.host, f"journald:{name}", name, self.options.labels)
        self._lines = Assembler(self._framing, position, sent)
        self._decision = decision

    def _state(self) -> dict[str, Any]:
        return {
            "serial": self._serial,
            "first": self._first,
            "cursor": self._cursor,
            "selection": self._selection,
            "framing": self._framing.to_json(),
        }

    # ── journalctl ──

    def command(self, place: Place) -> list[str]:
        """Return the command that prints the entries from `place` on."""
        follow = [] if self.context.once else ["--follow"]
        return [self.program, "--output=json", "--all", "--no-pager", *follow, *place.arguments(), *self._selecting()]

    def check(self) -> None:
        """Raise Refused where journalctl is missing, or does not see what it is to print."""
        check(self.options.name, [self.program, "--no-pager", "--lines=0", *self._selecting()])

    def _selecting(self) -> list[str]:
        options = self.options
        directory = [] if options.directory is None else [f"--directory={options.directory}"]
        return [*directory, *(f"--unit={unit}" for unit in options.units), *options.matches]

    def _start(self) -> None:
        self._cutter, self._joined, self._heard = Cutter(), False, b""
        self._run = Run(self.command(self._place), self.context.clock.monotonic())

    def _start_again(self) -> None:
        try:
            self._start()
        except OSError as error:
            self.context.event("journalctl can't be started", why=error.strerror or str(error))
            self._plan(started=self._turn, code=1)

    def _read(self, run: Run, size: int, now: float) -> list[LineBlock]:
        blocks: list[LineBlock] = []
        self._hear(run, now)
        gone = run.over(now)  # asked first: what it printed before it ended is read below
        while size > 0 and (data := run.read(size)):
            blocks += self._take(self._cutter.feed(data))
            size -= len(data)
        if self._cutter.left_out:
            self.context.event("what journalctl printed is no entry, or too large", lines=self._cutter.left_out)
            self._cutter.left_out = 0
        if gone and size > 0:
            self._end(run, now)
        return blocks

    def _end(self, run: Run, now: float) -> None:
        self._run = None
        self._hear(run, now, closing=True)
        code = run.end()
        if code and self.context.once:
            raise Refused(
                f"{self.options.name}: journalctl ended with {code}: {words(self._heard)}; correct the source's options"
            )
        if not self.context.once:
            self.context.event("journalctl ended", code=code)
        self._over = self.context.once
        self._plan(run.started, code)

    def _plan(self, started: float, code: int) -> None:
        now = self.context.clock.monotonic()
        self._pause = pause_after(code, now - started, self.options.restart, self._pause)
        self._turn = now + self._pause

    def _hear(self, run: Run, now: float, closing: bool = False) -> None:
        data = run.read_errors(_CHUNK)
        self._heard = (self._heard + data)[-_HEARD:]
        self._complaints.hear(data, now, closing)

    # ── entries ──

    def _take(self, entries: list[Entry]) -> list[LineBlock]:
        """Make lines of entries; of a run's first one it depends on where it stands."""
        blocks: list[LineBlock] = []
        if entries and not self._joined:
            entries, blocks = self._join(entries)
        if not entries:
            return blocks
        selected = self.options.units or self.options.matches
        for entry in entries:
            self._missing += 0 if selected else missing(self._cursor, entry.cursor)
            self._cursor = entry.cursor
        self._first = self._first or entries[0].cursor
        self._place = Place(self._cursor)
        data = b"".join(entry.value + b"\n" for entry in entries)
        return blocks + [replace(block, state=self._state()) for block in self._lines.feed(self._stream, data)]

    def _join(self, entries: list[Entry]) -> tuple[list[Entry], list[LineBlock]]:
        """Return what is to be handed out of a run's first entries, and what the checkpoint has to know before."""
        self._joined = True
        first = entries[0]
        verdict = judge(self._place, first.cursor, first.time)
        if verdict == "lost":
            self._lost(first)
        self._changed = False
        if verdict != "skip":
            return entries, []
        if self._cursor:
            return entries[1:], []
        self._cursor, self._place = first.cursor, Place(first.cursor)
        return entries[1:], [self._news()]

    def _lost(self, first: Entry) -> None:
        """The journal begins behind the entry that was handed out last, as far as anybody can tell."""
        before = self._place.cursor
        self._cursor = ""
        if self._changed:  # with other options it need not be among those that are printed
            return
        old = self._stream.generation
        self._over_generations.append(old)
        self._begin_generation("new: the journal had lost the entry to go on from")
        self.context.event(
            "the journal no longer has the entry to go on from: entries are lost, a new generation begins",
            generation=f"{old:016x}",
            successor=f"{self._stream.generation:016x}",
            lost_at_most=missing(before, first.cursor) or "unknown",
            cursor=before,
        )

    def _news(self) -> LineBlock:
        """Return a block without lines: where the journal ended at the first start must be durable."""
        nothing = np.empty(0, np.int64)
        return LineBlock(self._stream, b"", nothing, nothing, np.zeros(1, np.int64), 0, state=self._state())

    def _tell_missing(self, now: float) -> None:
        if self._missing and now >= self._told_at + _TELL:
            self.context.event("entries are missing in the journal", entries=self._missing, before=self._cursor)
            self._missing, self._told_at = 0, now


def _understood(state: StreamState) -> Mapping[str, Any]:
    said = state.state or state.birth
    texts = [said.get("first"), said.get("cursor")]
    if (
        not isinstance(said.get("serial"), int)
        or not all(isinstance(text, str) for text in texts)
        or not {"selection", "framing"} <= said.keys()
    ):
        raise StateDamaged(
            f"the checkpoint's state of {state.path} (generation {state.generation:016x}) can't be understood; "
            "restore the state directory from before, or move it away to begin anew"
        )
    return said
