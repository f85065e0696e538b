"""`ingest demo`: everything once, on one machine, with the proof at the end."""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ingest.cli import console
from ingest.cli.demo.broker import embedded_broker
from ingest.cli.demo.configuration import write_configuration
from ingest.cli.demo.proof import Comparison, compare_json, compare_raw
from ingest.cli.demo.samples import LogWriter, access_lines, application_lines
from ingest.config.load import load
from ingest.errors import UsageError

PARTITIONS = 4
SPAN = 3 * 3600
"""Seconds of event time that the sample logs cover: several hours, so several directories."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Leave logs, warehouse and state here; an empty or new directory.", metavar="D"),
    ] = None,
    records: Annotated[int, typer.Option("--records", help="Lines to write.", min=100)] = 100_000,
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap", help="A Kafka that runs already, host:port[,host:port…].")
    ] = None,
) -> None:
    """Write sample logs, ship them, sink them, and prove that every line is in Parquet exactly once."""
    home = _home(directory)
    begin = time.monotonic()
    broker = nullcontext(bootstrap) if bootstrap else embedded_broker(home / "broker.log")
    with broker as address:
        tag = f"demo-{uuid.uuid4().hex[:8]}"
        config = write_configuration(home, address.split(","), tag, PARTITIONS)
        proven = _run(home, config, tag, records, begin)
    console.print_line(f"It is all in {home}: logs, warehouse, state, ingest.toml, demo.log")
    raise typer.Exit(0 if proven else 4)


def _home(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="ingest-demo-"))
    home = directory.absolute()
    if home.exists() and any(home.iterdir()):
        raise UsageError(f"{home} is not empty: a demo begins in an empty or new directory")
    home.mkdir(parents=True, exist_ok=True)
    return home


def _run(home: Path, config: Path, tag: str, records: int, begin: float) -> bool:
    # Imported here, so that `ingest --help` starts quickly.
    from ingest.commit.verify import verify
    from ingest.service.log import configure
    from ingest.wiring.demo import records_in_kafka, ship_while, sink_once
    from ingest.wiring.surroundings import Surroundings, filesystem

    around = Surroundings(load(config))
    (home / "logs").mkdir()
    app, access = _writers(home, records)
    with (home / "demo.log").open("w") as log:
        configure("info", "console", log)
        with _step(f"writing {records:,} lines into two logs, rotating them half-way, and shipping them meanwhile"):
            ship_while(around, lambda: _write(app, access))
        with _step("sinking the topics into Parquet"):
            sink_once(around)
        with _step("verifying the commit chains, and comparing files and warehouse line by line"):
            report = verify(filesystem(around.config, around.config.require_sink()))
            kafka = records_in_kafka(around)
            results = {
                "app (json)": (
                    compare_json(sorted((home / "logs").glob("app.jsonl*")), home / f"warehouse/app-{tag}"),
                    kafka[f"app-{tag}"],
                ),
                "access (raw)": (
                    compare_raw(sorted((home / "logs").glob("access.log*")), home / f"warehouse/access-{tag}"),
                    kafka[f"access-{tag}"],
                ),
            }
        configure()
    _print(results, time.monotonic() - begin)
    for difference in report.differences:
        console.print_line(str(difference))
    exact = all(not result.missing and not result.duplicates and result.lines for result, _ in results.values())
    proven = exact and report.ok
    console.print_line()
    console.print_line(
        "proven: every line is in the warehouse exactly once" if proven else "NOT proven: see the differences above"
    )
    return proven


def _writers(home: Path, records: int) -> tuple[LogWriter, LogWriter]:
    half = records // 2
    first = time.time() - SPAN
    return (
        LogWriter(home / "logs/app.jsonl", application_lines(records - half, first, SPAN / half), half // 2),
        LogWriter(home / "logs/access.log", access_lines(half, first, SPAN / half), half // 2),
    )


def _write(*writers: LogWriter) -> None:
    pause = threading.Event()
    threads = [
        threading.Thread(target=writer.run, args=(2_000, lambda: pause.wait(0.01)), name="writer") for writer in writers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def _step(text: str) -> Iterator[None]:
    with console.working(text):
        begin = time.monotonic()
        yield
    console.print_line(f"{text}: {time.monotonic() - begin:.1f} s")


def _print(results: dict[str, tuple[Comparison, int]], seconds: float) -> None:
    headers = ["log", "lines written", "records in Kafka", "rows in Parquet", "missing", "duplicates"]
    headers += ["bytes in", "bytes out", "files"]
    rows = [
        [
            name,
            f"{found.lines:,}",
            f"{in_kafka:,}",
            f"{found.rows:,}",
            str(found.missing),
            str(found.duplicates),
            f"{found.bytes_in / 1e6:.1f} MB",
            f"{found.bytes_out / 1e6:.1f} MB",
            str(found.files),
        ]
        for name, (found, in_kafka) in results.items()
    ]
    found = [result for result, _ in results.values()]
    rows.append(
        [
            "together",
            f"{sum(each.lines for each in found):,}",
            f"{sum(in_kafka for _, in_kafka in results.values()):,}",
            f"{sum(each.rows for each in found):,}",
            str(sum(each.missing for each in found)),
            str(sum(each.duplicates for each in found)),
            f"{sum(each.bytes_in for each in found) / 1e6:.1f} MB",
            f"{sum(each.bytes_out for each in found) / 1e6:.1f} MB",
            str(sum(each.files for each in found)),
        ]
    )
    console.print_line()
    console.print_table(headers, rows)
    console.print_line(f"{seconds:.1f} s in all")
