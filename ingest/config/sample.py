"""conf/ingest.toml: every option there is, with its help. What is not commented out works as it stands."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from ingest.config.declared import Item, Section
from ingest.config.keys import KeyPath, toml_key

_HEAD = """\
# ingest: application logs to Kafka to Parquet.
# Written by `python -m ingest.config.reference --write`; do not edit here.
#
# Lines that begin with "# " explain. Lines that begin with "#" and a key show that option's default, or an example
# where it has no default. Try a file with `ingest check -c FILE`.
#
# Durations and sizes are written with their unit: "250ms", "10s", "5m", "1h", "14d"; "512B", "64KiB", "1MiB", "10MB".
# Any text may hold ${file:/path}, ${env:NAME} or ${cred:NAME} (a systemd credential), read once at the start.
# $${ is a plain ${. A secret's file must not be readable by everybody.
"""
_TOPIC = """\
# ── [sink.topic."name"]: whatever is otherwise for one topic; table by table, key by key, over [sink.defaults] ──
#[sink.topic."app-logs"]
#parser = "json"
#rotate = { age = "1m" }
"""
_SHOWN = {("kafka", "bootstrap"), ("sink", "topics"), ("sink", "defaults", "parser")}
"""Options that need not be there, but without which this file would do nothing."""
_ACTIVE = {("source", "file"), ("filesystem", "local")}
"""Of each kind of connector the one that is not commented out."""
_WIDTH = 116


def render_sample(sections: Sequence[Section]) -> str:
    """Return the file."""
    blocks = [_HEAD, *(_section(section) for section in sections), _TOPIC]
    return "\n".join(block for block in blocks if block)


def _section(section: Section) -> str:
    parser = section.connector is not None and section.connector[0] == "parser"
    commented = section.choice or (section.connector is not None and section.connector not in _ACTIVE)
    lines = list(_comment(_title(section)))
    # A parser's own options stand in the table of the topic, whose header is there already.
    if not parser or len(section.path) > 2:
        header = f"[[{toml_key(section.path)}]]" if section.array else f"[{toml_key(section.path)}]"
        lines.append(f"#{header}" if commented else header)
    for item in section.items:
        lines += _item(item, (*section.path, item.name), commented=commented)
    return "\n".join(lines) + "\n"


def _title(section: Section) -> str:
    if section.connector is None:
        return section.text
    kind, name = section.connector
    text = f" {section.text}" if section.text else ""
    return f'── {"parser" if kind == "parser" else "type"} = "{name}" ──{text}'


def _item(item: Item, path: KeyPath, *, commented: bool) -> Iterator[str]:
    shown = (item.required or path in _SHOWN) and not commented
    note = "" if item.required or item.default is not None or path in _SHOWN else " (no default)"
    yield from _comment(f"{item.text}{note}")
    shows_example = item.required or path in _SHOWN or item.default in (None, "[]", "{}")
    value = item.example if shows_example else item.default
    yield f"{'' if shown else '#'}{item.name} = {value or item.default or _placeholder(item)}"


def _placeholder(item: Item) -> str:
    words = {"a whole number": "0", "a number": "0.0", "true or false": "false"}
    return words.get(item.kind.partition(",")[0], '"…"')


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
