"""The options that every source has."""

from __future__ import annotations

from typing import Annotated, Literal

from ingest.lines import Framing, check_framing
from ingest.options import Duration, Options, Size, option

_JAVA = r"^(?:[ \t]|Caused by:|Suppressed:)"
_PYTHON = (
    r"^(?:[ \t]|$|Traceback \(most recent call last\):|During handling of the above exception|"
    r"The above exception was the direct cause|"
    r"[A-Za-z_][\w.]*(?:Error|Exception|Warning|Interrupt|Exit|Group|Iteration)(?::|$))"
)


class MultilineOptions(Options):
    """Which lines belong together: exactly one of `begins`, `continues` and `preset`."""

    begins: Annotated[
        str | None,
        option("RE2 expression: lines in which it is found begin an event.", example=r"^\d{4}-\d\d-\d\d"),
    ] = None
    continues: Annotated[
        str | None, option("RE2 expression: lines in which it is found go on with the event before.", example=r"^\s")
    ] = None
    preset: Annotated[
        Literal["java", "python"] | None,
        option("Tracebacks: indented lines and those that belong to them go on with the event before.", example="java"),
    ] = None
    timeout: Annotated[
        Duration, option("The last event goes out once nothing has come for so long, be it whole or not.")
    ] = Duration(5.0)

    def __post_init__(self) -> None:
        """Refuse none, and more than one."""
        if sum(each is not None for each in (self.begins, self.continues, self.preset)) != 1:
            raise ValueError("give exactly one of `begins`, `continues` and `preset`")

    def expressions(self) -> tuple[str, str]:
        """Return what begins an event and what goes on with one; one of them is ""."""
        preset = {"java": _JAVA, "python": _PYTHON, None: ""}[self.preset]
        return self.begins or "", self.continues or preset


class SourceOptions(Options):
    """What every [[source]] table has; a source's own `Options` extends it."""

    name: Annotated[str, option("Names the source in logs, metrics and headers; unique in the file.", example="web")]
    type: Annotated[str, option("Which source connector.", example="file")]
    topic: Annotated[str, option("The Kafka topic that the lines go to.", example="app-logs")]
    create_topics: Annotated[bool, option("Make the topic when it is missing; needs `partitions`.")] = False
    partitions: Annotated[int | None, option("Partitions of a topic that is made.", example=4, ge=1)] = None
    replication: Annotated[int, option("Replicas of a topic that is made; -1 leaves it to the broker.", ge=-1)] = -1
    labels: Annotated[dict[str, str], option("Travels with the first record of each stream in a batch.")] = {}
    empty_lines: Annotated[Literal["send", "drop"], option("What happens to lines without a byte.")] = "send"
    max_line: Annotated[
        Size | None,
        option(
            "Longer lines are cut at a character boundary and flagged. "
            "Left out: what the topic's max.message.bytes allows, at most 1MiB.",
            example="1MiB",
        ),
    ] = None
    encoding: Annotated[
        str,
        option(
            "How the bytes are written, by Python's names; values are UTF-8. utf-8: they are taken as they are. "
            "utf-16: the byte order mark decides.",
            example="latin-1",
        ),
    ] = "utf-8"
    multiline: Annotated[MultilineOptions | None, option("Lines that belong together become one record.")] = None
    include_lines: Annotated[
        list[str], option("RE2 expressions: only lines (events) in which one is found are sent.", example=["ERROR"])
    ] = []
    exclude_lines: Annotated[
        list[str], option("RE2 expressions: lines (events) in which one is found are not sent.", example=["^DEBUG"])
    ] = []
    linger: Annotated[Duration, option("A trickle of lines leaves after so long.")] = Duration(1.0)

    def __post_init__(self) -> None:
        """Refuse encodings and expressions that can't be used."""
        check_framing(self.framing(0))

    def framing(self, max_line: int) -> Framing:
        """Return how bytes become lines; `max_line` is the one that was resolved."""
        begins, continues = ("", "") if self.multiline is None else self.multiline.expressions()
        return Framing(
            max_line,
            self.empty_lines == "drop",
            self.encoding,
            begins,
            continues,
            tuple(self.include_lines),
            tuple(self.exclude_lines),
        )
