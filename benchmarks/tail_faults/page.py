"""Puts the results into docs/tailing.md: `python -m benchmarks.tail_faults.page [RESULTS]` after a run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tailing.md"
RESULTS = ROOT / ".cache" / "bench" / "results" / "tail-faults.json"
TABLE = re.compile(r"(<!-- tail faults: .*? -->\n)(.*?)(<!-- end of tail faults -->)", re.DOTALL)
OURS = "ingest"
_LABELS = re.compile(r'\{.*?reason="(\w+)".*')
_REASON = r" \1"


def table(document: Mapping[str, Any]) -> str:
    """Return the results as Markdown: a sentence on how they were found, and a row for each case."""
    names = list(dict.fromkeys(result["shipper"] for result in document["results"]))
    cases: dict[str, dict[str, Any]] = {}
    for result in document["results"]:
        cases.setdefault(result["case"], {})[result["shipper"]] = result
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    how = (
        f"Found on {document['date']} by `scripts/bench tail_faults` with {versions}, Python {document['python']}, "
        f"{document['cpus']} cores, {document['kills']} kills in a case that kills. Each cell: missing / twice."
    )
    lines = [
        "",
        how,
        "",
        f"| case | what happens | lines | {' | '.join(names)} | what ingest said itself |",
        f"|---|---|---|{'---|' * len(names)}---|",
    ]
    for key, results in cases.items():
        ours = results.get(OURS) or next(iter(results.values()))
        found = " | ".join(_cell(results[name]) if name in results else "" for name in names)
        lines.append(f"| {key} | {ours['title']} | {ours['lines']:,} | {found} | {_said(ours)} |")
    lines += [f"\n{name} took no part: {reason}." for name, reason in document["skipped"].items()]
    return "\n".join([*lines, "", ""])


def _cell(result: Mapping[str, Any]) -> str:
    tally = result["tally"]
    notes = [
        f"{count:,} {what}"
        for count, what in (
            (result["unreadable"], "of them in no file any more"),
            (tally["damaged"], "not as written"),
            (tally["foreign"], "values nobody wrote"),
            (result["repeats"], "repeats that the sink drops"),
        )
        if count
    ]
    notes += [result["note"]] if result["note"] else []
    notes += [] if result["alive"] else ["it had ended"]
    notes += [f"**{result['wrong']}**"] if result["wrong"] else []
    return " · ".join([f"{tally['missing']:,} / {tally['duplicate']:,}", *notes])


def _said(result: Mapping[str, Any]) -> str:
    return "; ".join(f"`{_LABELS.sub(_REASON, said)}`" for said in result["said"])


def main() -> int:
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    written = table(json.loads(results.read_text()))
    PAGE.write_text(TABLE.sub(lambda found: found[1] + written + found[3], PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
