"""The status page: plain HTML made from whatever mapping it is given; nothing is fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ingest.service.redaction import escape_controls

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse } .wide { overflow-x: auto }
th, td { text-align: left; vertical-align: top; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #8884 }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.good { color: #197a3e } .bad { color: #c0262d; font-weight: 600 }
@media (prefers-color-scheme: dark) { .good { color: #5fd38d } .bad { color: #ff7b81 } }
"""


def page(ready: Mapping[str, Any], alive: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """Return the whole page.

    Args:
        ready: what `Health.ready` returns.
        alive: what `Health.alive` returns.
        status: sections by title: a mapping becomes a list of facts, a sequence of mappings a table, else text.
    """
    sections = "".join(f"<section><h2>{_text(title)}</h2>{_value(value)}</section>" for title, value in status.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ingest</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="10"><style>{_STYLE}</style></head><body><main><h1>ingest</h1>'
        f"<p>{_verdict(ready['ready'], 'ready', 'not ready')}, {_verdict(alive['alive'], 'alive', 'not moving')}</p>"
        f"{_parts('What it needs', ready['parts'])}{_parts('What moves', alive['parts'])}{sections}"
        '<p><a href="/metrics">metrics</a> · <a href="/readyz">ready</a> · <a href="/healthz">alive</a></p>'
        "</main></body></html>"
    )


def _verdict(good: bool, yes: str, no: str) -> str:
    return f'<span class="good">{yes}</span>' if good else f'<span class="bad">{no}</span>'


def _parts(title: str, parts: Mapping[str, Mapping[str, Any]]) -> str:
    if not parts:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td>{_verdict(part["ok"], "yes", "no")}</td>'
        f"<td>{_text(part['why'])}</td><td>{part['age']:.0f} s ago</td></tr>"
        for name, part in parts.items()
    )
    return f"<section><h2>{title}</h2><table>{rows}</table></section>"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        rows = "".join(f'<tr><th scope="row">{_text(key)}</th>{_cell(item)}</tr>' for key, item in value.items())
        return f'<div class="wide"><table>{rows}</table></div>' if rows else "<p>none</p>"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if value and all(isinstance(item, Mapping) for item in value):
            return _table(value)
        return f"<ul>{''.join(f'<li>{_value(item)}</li>' for item in value)}</ul>" if value else "<p>none</p>"
    return _text(value)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(_cell(row.get(column, '')) for column in columns)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f'<td class="number">{_text(value)}</td>' if number else f"<td>{_value(value)}</td>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(escape_controls("" if value is None else str(value)))
