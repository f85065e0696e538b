"""The program's own log: events on stderr, as JSON or for people, quiet when healthy.

`logger()` may be called at import, before `configure`. Three promises:

- No secret: values under telling keys, credentials inside texts and URLs, and every `Secret` come out as `***`.
- No control character reaches a terminal; one event is one line (but for the traceback of a bug, in console format).
- Writing never stops the program: a stderr that is closed or full loses lines, which are counted and reported once it
  takes lines again; a reader that has stalled holds the program up for a second, once.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from ingest.errors import IngestError
from ingest.service.redaction import escape_controls, hidden_or_plain, one_line
from ingest.service.stderr import Stderr

Format = Literal["json", "console"]
Level = Literal["debug", "info", "warning", "error", "critical"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_QUIET = 60.0
_NEVER_DEBUG = ("urllib3", "requests_kerberos", "kafka", "hdfs")
"""Libraries that write tokens, passwords or whole requests at debug level."""

_LOST = "log lines were dropped: stderr did not take them"


# ── processors ───────────────────────────────────────────────────────────────


def _describe_error(debug: bool) -> Processor:
    """Make the processor for `exc_info`: one line for what a person or a server caused, a traceback for a bug."""

    def describe(_logger: Any, _method: str, event: EventDict) -> EventDict:
        error = _current_error(event.pop("exc_info", None))
        if error is not None:
            event["error"] = one_line(error)
            if debug or not isinstance(error, IngestError):
                event["traceback"] = "".join(traceback.format_exception(error)).rstrip("\n")
        return event

    return describe


def _current_error(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return cast("BaseException | None", exc_info[1])
    return sys.exc_info()[1] if exc_info else None


def _hide(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {str(key): hidden_or_plain(str(key), value) for key, value in event.items()}


def _in_order(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Put what every event has first."""
    first = ("timestamp", "level", "event", "logger")
    return {key: event[key] for key in first if key in event} | {k: v for k, v in event.items() if k not in first}


def _render_console(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    trace = event.pop("traceback", None)
    head = f"{event.pop('timestamp')} {event.pop('level'):<8} {escape_controls(str(event.pop('event')))}"
    pairs = [f"{escape_controls(key)}={_console_value(value)}" for key, value in event.items()]
    lines = ["  ".join([head, " ".join(pairs)]).rstrip()]
    if trace is not None:
        lines += ["    " + escape_controls(line) for line in str(trace).split("\n")]
    return "\n".join(lines)


def _console_value(value: Any) -> str:
    if isinstance(value, str) and value and not re.search(r"[\s\"'=]", value):
        return escape_controls(value)
    return escape_controls(repr(value) if isinstance(value, str) else str(value))


def _processors(level: Level, format: Format) -> list[Processor]:
    render: Processor = structlog.processors.JSONRenderer() if format == "json" else _render_console
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _describe_error(level == "debug"),
        _hide,
        _in_order,
        render,
    ]


def _rendered(level: str, text: str, processors: list[Processor], **fields: Any) -> str:
    """Take an event that is not structlog's through the processors."""
    event: Any = {"event": text, **fields}
    for processor in processors:
        event = processor(None, level, event)
    return str(event)


class _Library(logging.Handler):
    """Sends what libraries log through the same processors; what a library repeats is said once in `_QUIET` seconds.

    A Kafka client without its broker says the same few things several times a second.
    """

    def __init__(self, processors: list[Processor], stderr: Stderr) -> None:
        super().__init__()
        self._processors = processors
        self._stderr = stderr
        self._said: dict[tuple[str, object], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Render and write; never raises."""
        if self._repeated(record):
            return
        level, text = record.levelname.lower(), self._text(record)
        line = _rendered(level, text, self._processors, logger=record.name, exc_info=record.exc_info)
        self._stderr.write_line(line)

    def _repeated(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return False
        key = (record.name, record.msg if isinstance(record.msg, str) else type(record.msg))
        if record.created - self._said.get(key, float("-inf")) < _QUIET:
            return True
        self._said[key] = record.created
        return False

    @staticmethod
    def _text(record: logging.LogRecord) -> str:
        try:
            return record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit the message
            return f"{record.msg} {record.args}"


# ── the door ─────────────────────────────────────────────────────────────────


def logger(**bound: Any) -> FilteringBoundLogger:
    """Return a logger with these fields on each of its events; follows `configure` even when made before."""
    return cast("FilteringBoundLogger", structlog.get_logger(**bound))


def configure(level: Level = "info", format: Format = "console", stream: TextIO | None = None) -> Stderr:
    """Set up the log of the whole process: our own events, what libraries log, and threads that die.

    Libraries are heard from level warning on; at level "debug" from debug on, except those that would write secrets.

    Args:
        level: least severe level written.
        format: "json", one object a line, or "console".
        stream: instead of the process's stderr.

    Returns:
        The writer, which counts the lines that it dropped.
    """
    processors = _processors(level, format)
    stderr = Stderr(stream, lambda lines: _rendered("warning", _LOST, processors, lines=lines))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: stderr,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Library)]:
        root.removeHandler(handler)
    root.addHandler(_Library(processors, stderr))
    root.setLevel(logging.DEBUG if level == "debug" else max(logging.WARNING, _LEVELS[level]))
    for name in _NEVER_DEBUG:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
    threading.excepthook = _thread_died
    return stderr


def _thread_died(details: threading.ExceptHookArgs) -> None:
    if details.exc_type is not SystemExit:
        trace: TracebackType | None = details.exc_traceback
        name = details.thread.name if details.thread else "?"
        logger().error(
            "a thread died, which is a bug", thread=name, exc_info=(details.exc_type, details.exc_value, trace)
        )


_EARLY = Stderr()

# Before `configure`, and for tests: on stderr rather than structlog's own default, stdout.
structlog.configure(
    processors=_processors("info", "console"),
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    logger_factory=lambda *_: _EARLY,
)
