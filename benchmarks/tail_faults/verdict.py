"""What a case came to, and whether that is what we promise. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.tail_faults.settings import Settings
from benchmarks.tail_faults.shippers import Ingest, Shipper
from benchmarks.tail_faults.tally import Tally


@dataclass(frozen=True, slots=True)
class Result:
    """One case, one shipper.

    Attributes:
        case: its key.
        title: in words.
        shipper: whose result it is.
        lines: how many were written.
        tally: what is wrong in the topic; records that say that they are repeats are not among the duplicates.
        unreadable: of the missing lines, those that are in no file any more.
        repeats: records that say that they are repeats, and that the sink drops.
        said: what the shipper itself said of loss.
        alive: it still ran when everything was over.
        note: what else to know.
        wrong: what we promise is not so; only asked of `ingest`. Empty: it is.
        seconds: how long it took.
    """

    case: str
    title: str
    shipper: str
    lines: int
    tally: Tally
    unreadable: int
    repeats: int
    said: list[str]
    alive: bool
    note: str
    wrong: str
    seconds: float = 0.0


def judge(
    settings: Settings, shipper: Shipper, tally: Tally, unreadable: int, repeats: int, lines: int, note: str
) -> Result:
    """Put together what was found; the shipper still runs."""
    said = shipper.said()
    wrong = broken_promise(tally, unreadable, said) if isinstance(shipper, Ingest) else ""
    return Result(
        settings.key, settings.title, shipper.name, lines, tally, unreadable, repeats, said, shipper.alive, note, wrong
    )


def broken_promise(tally: Tally, unreadable: int, said: list[str]) -> str:
    """Return which promise the result breaks; none = empty.

    Lines may be missing only where no file holds them any more, and then the program must have said so; a line may come
    out cut only with a counter that says so.
    """
    if tally.duplicate:
        return f"{tally.duplicate} twice"
    if tally.missing > unreadable:
        return f"{tally.missing - unreadable} missing that a file still holds" + (": said so" if said else "")
    if (tally.missing or tally.damaged or tally.foreign) and not said:
        return "silent"
    return ""


def text(result: Result) -> str:
    """Return a line for whoever waits."""
    tally = result.tally
    extras = [
        f"{count:,} {what}"
        for count, what in (
            (result.unreadable, "of the missing are in no file"),
            (tally.damaged, "damaged"),
            (tally.foreign, "that nobody wrote"),
            (result.repeats, "repeats that the sink drops"),
        )
        if count
    ]
    extras += ["said so: " + "; ".join(result.said)] if result.said else []
    extras += [result.note] if result.note else []
    extras += [] if result.alive else ["it had ended"]
    extras += [f"WRONG: {result.wrong}"] if result.wrong else []
    found = f"{result.case:12} {result.shipper:8} {result.lines:>8,} lines: {tally.missing:,} / {tally.duplicate:,}"
    return " · ".join([found, *extras, f"{result.seconds:.0f} s"])
