"""Runs a command and reads its standard output: without end, or on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from ingest.api import (
    Assembler,
    Duration,
    Framing,
    Refused,
    Size,
    SourceContext,
    SourceOptions,
    StreamState,
    Unavailable,
    option,
)
from ingest.connectors.command.complaints import Complaints
from ingest.connectors.command.run import Run
from ingest.connectors.command.times import next_turn, pause_after
from ingest.connectors.queue.frame import Held
from ingest.connectors.queue.piece import Piece
from ingest.connectors.queue.source import CHUNK, QueuedSource


class ExecOptions(SourceOptions):
    """Options of the source "exec"."""

    command: Annotated[
        list[str],
        option(
            "The program and its arguments; no shell is involved. What was read of its output survives a crash of "
            "ingest; a command that is started anew writes what it writes.",
            example=["/usr/bin/journalctl", "--follow", "--output=json"],
        ),
    ]
    restart: Annotated[
        Duration,
        option(
            "Without `every`: a command that ended is started again after so long, later where it fails quickly, "
            "at most 1m.",
            ge=0.01,
        ),
    ] = Duration(1.0)
    every: Annotated[
        Duration | None,
        option(
            "Start it so often, the first time at once; one run at a time: a turn that comes meanwhile is left out.",
            example="30s",
            ge=0.1,
        ),
    ] = None
    queue_bytes: Annotated[
        Size,
        option("Lines not yet in Kafka are kept on disk up to so much; then the command has to wait.", ge=1 << 20),
    ] = Size(256 << 20)

    def __post_init__(self) -> None:
        """Refuse a command that names no program."""
        super().__post_init__()
        if not self.command or not self.command[0]:
            raise ValueError("`command` names no program")


class ExecSource(QueuedSource[ExecOptions]):
    """One stream, one generation through all runs; an unterminated last line of a run is given out, flagged "partial".

    What was read is on disk before it is handed out. What the command wrote and nobody read yet is lost in a crash,
    and the command ends with the process: whether a new run writes it again is the command's business.
    """

    Options: ClassVar[type[SourceOptions]] = ExecOptions

    def __init__(self, options: ExecOptions, context: SourceContext) -> None:
        super().__init__(options, context, options.queue_bytes)
        self._name = f"exec:{options.name}"
        self._framing = options.framing(context.max_line)
        self._lines = Assembler(self._framing)
        self._held = Held()
        self._fed = 0
        self._event_patience = options.multiline.timeout if options.multiline is not None else None
        self._read_at = 0.0
        self._complaints = Complaints(context.event)
        self._run: Run | None = None
        self._turn = 0.0
        """When the next run is due, or the one that goes on was."""
        self._pause: float | None = None
        self._over = False

    def resume(self, states: Sequence[StreamState]) -> None:
        """See `Source.resume`; the command is started."""
        self.queues.resume(states, [self._name])
        self._give_out_held()
        self._turn = self.context.clock.monotonic()
        try:
            self._start()
        except OSError as error:
            raise Refused(
                f"{self.options.name}: {self.options.command[0]} can't be started: {error.strerror or error}; "
                "correct `command`"
            ) from error

    def next_poll(self) -> float:
        """See `Source.next_poll`."""
        if self.queues.pending:
            return 0.0
        if self._run is None:
            return self.nap if self._over else max(0.0, self._turn - self.context.clock.monotonic())
        return 0.0 if self._run.readable() and self.queues.room(self._name) else self.nap

    def finished(self) -> bool:
        """See `Source.finished`: with `once` after one run."""
        return self._over and not self.queues.pending and not self.queues.waiting

    def close(self) -> None:
        """See `Source.close`: SIGTERM, after a few seconds SIGKILL; what the command still wrote is kept."""
        run, self._run = self._run, None
        if run is not None:
            self._feed(run.stop())
            self._hear(run, closing=True)
            run.end()
            self._feed(b"", closing=True)
        try:
            self.queues.commit()
        except Unavailable as error:
            self.context.event("the command's last lines are lost", why=str(error))
        self.queues.close()

    # ── the command ──

    def _start(self) -> None:
        self._lines, self._held, self._fed = Assembler(self._framing), Held(), 0
        self._run = Run(self.options.command, self.context.clock.monotonic())

    def _start_again(self) -> None:
        try:
            self._start()
        except OSError as error:
            self.context.event("command can't be started", why=error.strerror or str(error))
            self._plan(started=self._turn, code=1)

    def read(self, size: int) -> None:
        """Take what the command wrote, and make it durable."""
        now = self.context.clock.monotonic()
        if self._run is None and not self._over and now >= self._turn:
            self._start_again()
        if self._run is not None:
            self._hear(self._run)
            gone = self._run.over(now)  # asked first: what it wrote before it ended is read below
            while size > 0 and self.queues.room(self._name) and (data := self._run.read(size)):
                self._feed(data)
                size -= len(data)
                self._read_at = now
            if self._event_patience is not None and now - self._read_at >= self._event_patience and self._lines.holds:
                self._feed(b"", settled=True)
            if gone and size > 0 and self.queues.room(self._name):
                self._end(self._run)
        self.queues.commit()

    def _end(self, run: Run) -> None:
        self._run = None
        self._hear(run, closing=True)
        self._feed(b"", closing=True)
        code = run.end()
        if code:
            self.context.event("command failed", command=self.options.command[0], code=code)
        self._over = self.context.once
        self._plan(run.started, code)

    def _plan(self, started: float, code: int) -> None:
        """Decide when the next run is due."""
        now = self.context.clock.monotonic()
        if self.options.every is not None:
            self._turn = next_turn(self._turn, now, self.options.every)
        else:
            self._pause = pause_after(code, now - started, self.options.restart, self._pause)
            self._turn = now + self._pause

    def _hear(self, run: Run, closing: bool = False) -> None:
        self._complaints.hear(run.read_errors(CHUNK), self.context.clock.monotonic(), closing)

    # ── its lines ──

    def _feed(self, data: bytes, closing: bool = False, settled: bool = False) -> None:
        """Put the lines that `data` completes into the queue, with what is held back of the last one."""
        log = self.queues.log(self._name)
        before = self._lines.position
        self._fed += len(data)
        begin = before
        for block in self._lines.feed(log.stream, data, closing, settled):
            log.add(Piece.of_block(block, begin))
            begin = block.end
        self._held = held_back(self._held, data, self._fed - self._lines.position, begin > before, self._framing)
        log.hold(self._held)

    def _give_out_held(self) -> None:
        """The run that an unterminated line belongs to is over."""
        held = self.queues.log(self._name).held
        if held.beyond:
            length = len(held.data) + held.beyond
            self.queues.add(self._name, Piece.of_long_line(held.data, length, True, self._framing))
            self.queues.log(self._name).hold(Held())
        elif held.data:
            self._feed(held.data, closing=True)
        self.queues.commit()


def held_back(before: Held, data: bytes, left: int, moved: bool, framing: Framing) -> Held:
    """Return what is held back of a line whose end has not come; of an over-long one the beginning and a number.

    Args:
        before: what was held back.
        data: what came then.
        left: bytes that came and are part of no line yet.
        moved: something of it completed a line.
        framing: says what is over-long.
    """
    most = framing.span + framing.width
    joined = before.data if before.beyond and not moved else before.data + data
    kept = joined[len(joined) - left :] if moved else joined
    kept = kept[:most]
    return Held(kept, left - len(kept))
