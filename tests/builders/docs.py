"""What the documentation holds: its blocks, commands, links and tables."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.builders.tree import ROOT

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

MINIMAL = {
    "[kafka]": 'bootstrap = ["localhost:9092"]',
    "[sink]": 'group = "g"\ntopics = ["app-logs"]',
    "[sink.destination]": 'type = "local"\nroot = "/srv/warehouse"',
    "[sink.defaults]": 'parser = "raw"',
}
"""A block of a configuration that lacks one of these tables gets this one: the rule for partial examples."""


@dataclass(frozen=True)
class Block:
    """A fenced block: where, in which language, what."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language, pages=PAGES):
    return [
        Block(name, page(name).count("\n", 0, match.start()) + 1, match[1], match[2])
        for name in pages
        for match in FENCE.finditer(page(name))
        if match[1] == language
    ]


def missing_tables(text):
    """Return the tables of `MINIMAL` that a block lacks."""
    return [header for header in MINIMAL if not re.search(rf"^{re.escape(header)}$", text, re.MULTILINE)]


def completed(text):
    """Return a block of a configuration as a whole one."""
    # Its own tables come last: what stands before the first of them would else belong to another.
    return "\n".join([f"{header}\n{MINIMAL[header]}" for header in missing_tables(text)] + [text])


def with_secrets(text, directory):
    """Return a configuration whose files of secrets are there, and the environment in which its credentials are."""
    for kind, name in re.findall(r"\$\{(file|cred):([^}]+)\}", text):
        secret = directory / Path(name).name
        secret.touch(mode=0o600)
        secret.write_text("secret\n")
        if kind == "file":
            text = text.replace(name, str(secret))
    return text, {"CREDENTIALS_DIRECTORY": str(directory)}


def commands():
    """Yield (where, words after `ingest`) of every command line that the pages mention."""
    for block in blocks("sh"):
        for line in block.text.splitlines():
            yield from _command(str(block), line.partition(" #")[0])
    for name in PAGES:
        for match in re.finditer(r"`([^`\n]+)`", FENCE.sub("", page(name))):
            yield from _command(name, match[1])


def _command(where, line):
    words = shlex.split(line.replace("…", ""))
    if words[:3] == ["sudo", "-u", "ingest"]:
        words = words[3:]
    if words and words[0] in ("ingest", "/opt/ingest/bin/ingest") and len(words) > 1:
        yield where, words[1:]
    elif words[:1] == ["scripts/demo"]:
        yield where, ["demo", *words[1:]]


def table(text, header):
    """Return the rows of the table whose first column has this header."""
    lines = text.splitlines()
    [at] = [number for number, line in enumerate(lines) if line.startswith(f"| {header} |")]
    rows = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def headings(text):
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
