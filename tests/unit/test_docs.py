"""The documentation says what is so: its configurations, commands, links, paths and tables are those of the code.

python -m tests.unit.test_docs --write      bring the table of metrics up to date
"""

import inspect
import re
import sys
from configparser import ConfigParser
from datetime import datetime
from importlib import import_module, invalidate_caches

import pyarrow as pa
import pytest
import typer

from ingest.cli import check, main
from ingest.commit import chain
from ingest.config.load import load
from ingest.config.registry import Registry
from ingest.service.metrics import describe
from ingest.sink.rotation import Reason
from ingest.sink.stops import FAILED
from tests.builders.docs import PAGES, blocks, commands, completed, headings, missing_tables, page, table, with_secrets
from tests.builders.tree import ROOT, modules

OPERATIONS, DESIGN, GLOSSARY = "docs/operations.md", "docs/design.md", "docs/glossary.md"
EXAMPLE = ROOT / "tests" / "plugins" / "ingest-example"
METRICS = re.compile(r"(<!-- metrics: .*? -->\n)(.*?)(<!-- end of metrics -->)", re.DOTALL)


def points(group):
    """Return the lines of a group of entry points."""
    return setup()["options.entry_points"][group].strip().splitlines()


def sources():
    """Return the text of all modules that are shipped."""
    return "\n".join((ROOT / path).read_text(encoding="utf-8") for path in modules())


def setup():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


# ── configurations ──────────────────────────────────────────────────────────────────


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Let the example distribution be installed: its module and its entry points."""
    metadata = tmp_path / "site" / "ingest_example-0.3.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ingest-example\nVersion: 0.3.0\n")
    declared = ConfigParser()
    declared.read(EXAMPLE / "setup.cfg")
    points = declared["options.entry_points"]
    (metadata / "entry_points.txt").write_text("\n".join(f"[{group}]{lines}" for group, lines in points.items()))
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    invalidate_caches()
    yield
    sys.modules.pop("ingest_example", None)


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_every_configuration_is_accepted(block, tmp_path, example):
    text, environment = with_secrets(completed(block.text), tmp_path)
    file = tmp_path / "ingest.toml"
    file.write_text(text)

    config = load(file, environment=environment)

    check.require_work(config)
    assert list(check.plan(config))


def test_the_configuration_of_the_readme_is_whole():
    [block] = blocks("toml", ["README.md"])

    # What it has no [sink.defaults] for, it says for its one topic.
    assert set(missing_tables(block.text)) <= {"[sink.defaults]"}


PARSERS = "docs/parsers.md"
SAMPLES = dict(re.findall(r"^## (\w+)\n(.*?```log\n.*?)(?=^## |\Z)", page(PARSERS), re.MULTILINE | re.DOTALL))


def shown(cell):
    return cell.isoformat().replace("+00:00", "Z") if isinstance(cell, datetime) else str(cell)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_line_gives_the_columns_that_are_shown(name, tmp_path):
    [settings], [line] = (
        re.findall(rf"^```{kind}\n(.*?)^```$", SAMPLES[name], re.M | re.S) for kind in ("toml", "log")
    )
    file = tmp_path / "ingest.toml"
    file.write_text(completed(settings))
    topic = load(file).for_topic("app-logs")
    parser = Registry().parser(topic.parser_name)(topic.parser_options)
    parsed = parser.parse(pa.array([line.rstrip("\n").encode()], pa.binary()), parser.schema())

    assert topic.parser_name == name
    [row] = parsed.table.to_pylist()
    told = {column.strip("`"): value for column, value in table(SAMPLES[name], "column")}
    assert {column: shown(cell) for column, cell in row.items() if cell is not None} == told


def test_every_parser_is_told():
    assert sorted(SAMPLES) == sorted(line.split(" = ")[0] for line in points("ingest.parsers"))


def test_every_source_is_told_with_a_configuration():
    text = page("docs/sources.md")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    names = [line.split(" = ")[0] for line in points("ingest.sources")]

    assert [name for name in names if f'type = "{name}"' not in sections.get(name, "")] == []
    assert sorted(row[0].strip("`") for row in table(text, "source")) == sorted(names)


def test_every_reason_in_quarantine_is_told():
    used = set()
    for path in modules():
        if path.parts[:2] == ("connectors", "parsers"):
            module = import_module("ingest." + ".".join(path.with_suffix("").parts).removesuffix(".__init__"))
            text = (ROOT / path).read_text(encoding="utf-8")
            raised = " ".join(re.findall(r"raise Reject\((.*)\)", text))
            used |= {getattr(module, name) for name in re.findall(r"(?<!\w)[A-Z][A-Z_0-9]+\b", raised)}
    told = {reason for row in table(page(PARSERS), "parser") for reason in re.findall(r'"([^"]+)"', row[1])}

    assert {reason for reason in used if not reason.startswith("does not fit ")} <= told
    assert told - used == {"does not fit TYPE"}


# ── commands ──────────────────────────────────────────────────────────────────


def command_of(words):
    """Return the command that the words begin with, and the words that are left."""
    command = typer.main.get_command(main.application())
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize(
    ("where", "words"), list(commands()), ids=lambda value: value if isinstance(value, str) else None
)
def test_every_command_line_parses(where, words):
    command, rest = command_of(words)

    # What is missing is forgiven, what is unknown is not: examples in a sentence leave out what goes without saying.
    command.make_context(" ".join(words), rest, resilient_parsing=True).close()


def leaves(command, *names):
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from leaves(child, *names, name)
    else:
        yield " ".join(names), command


LEAVES = dict(leaves(typer.main.get_command(main.application())))


@pytest.mark.parametrize("name", list(LEAVES))
def test_every_command_and_option_has_help(name):
    assert LEAVES[name].help
    assert [option.name for option in LEAVES[name].params if not option.help] == []


@pytest.mark.parametrize("name", list(LEAVES))
def test_every_command_is_in_the_table_of_commands(name):
    assert any(row[0].startswith(f"`ingest {name}") for row in table(page(OPERATIONS), "command"))


def test_every_exit_code_is_in_the_table_of_exit_codes():
    told = {int(code) for code in re.findall(r"(?:^| {2})(\d+)  \w", inspect.getdoc(main), re.MULTILINE)}

    assert {int(row[0]) for row in table(page(OPERATIONS), "exit code")} == told


# ── links and paths ──────────────────────────────────────────────────────────────────

LINKS = [
    (name, target)
    for name in [*PAGES, "CHANGELOG.md"]
    for target in re.findall(r"\]\(([^)\s]+)\)", page(name))
    if "://" not in target
]


@pytest.mark.parametrize(("name", "target"), LINKS)
def test_every_link_leads_somewhere(name, target):
    path, _, anchor = target.partition("#")
    file = (ROOT / name).parent / path if path else ROOT / name

    assert file.exists()
    if anchor:
        assert anchor in headings(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PAGES)
def test_every_path_of_the_tree_that_is_named_exists(name):
    found = re.findall(r"(?<![\w/.<-])(?:ingest|connectors|tests|docs|conf|scripts|benchmarks)/[\w./*-]*\w", page(name))

    assert [path for path in found if not list(ROOT.glob(path))] == []


def test_modules_named_by_their_last_part_alone_are_neighbours_of_the_one_on_the_same_line():
    for line in blocks("", [DESIGN])[0].text.splitlines():
        whole = re.search(r"((?:ingest|connectors)/[\w/]+)/\w+\.py", line)
        for name in re.findall(r"(?<![\w/])(\w+\.py)", line):
            assert whole, line
            assert (ROOT / whole[1] / name).exists(), line


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_is_named_exists(name):
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", page(name))

    assert [test for path, test in named if f"\ndef {test}(" not in page(path)] == []


def test_every_case_of_tailing_has_its_row():
    numbers = [number for row in table(page("docs/tailing.md"), "no.") for number in row[0].split(", ")]

    assert numbers == [str(number) for number in range(1, 55)]


def test_what_is_said_of_lost_lines_is_what_the_source_says():
    told = [row[0].removesuffix(" …") for row in table(page("docs/tailing.md"), "event in the log")]
    said = "".join(page(f"connectors/{name}.py") for name in ("tail/roster", "sources/file"))

    assert [text for text in told if text not in said] == []


# ── what the design says of the code ──────────────────────────────────────────────────────────────────


def test_the_layers_are_those_that_are_checked():
    [picture] = [block.text for block in blocks("", [DESIGN]) if block.text.startswith("cli\n")]

    assert picture == setup()["importlinter:contract:layers"]["layers"].strip() + "\n"


@pytest.mark.parametrize(
    ("column", "struct"),
    [("member of a commit", chain.Commit)],
)
def test_every_member_of_a_record_is_told(column, struct):
    told = [name for row in table(page(DESIGN), column) for name in re.findall(r"`(\w+)`", row[0])]

    assert sorted(told) == sorted(struct.__struct_fields__)


@pytest.mark.parametrize(
    ("member", "struct"),
    [("files", chain.CommitFile), ("streams", chain.StreamRecord), ("accepted", chain.Accepted)],
)
def test_every_part_of_a_member_is_told(member, struct):
    [text] = [row[1] for row in table(page(DESIGN), "member of a commit") if row[0] == f"`{member}`"]

    assert sorted(re.findall(r"`(\w+)`", text)) == sorted(struct.__struct_fields__)


def test_every_library_that_is_required_is_told_and_no_other():
    options, extras = setup()["options"], setup()["options.extras_require"]
    lines = options["install_requires"] + extras["demo"] + extras["kerberos"]
    required = re.findall(r"^([\w-]+)", lines, re.MULTILINE)

    told = [name for row in table(page(DESIGN), "library") for name in row[0].split(", ")]
    assert sorted(told) == sorted(required)


# ── what the operator reads ──────────────────────────────────────────────────────────────────


def metrics_table():
    """Return the table of all metrics as it should stand in the page."""
    lines = ["", "| metric | labels | what |", "|---|---|---|"]
    for metric in describe():
        lines.append(f"| `{metric.name}` | {', '.join(metric.labels)} | {metric.help} |")
    return "\n".join([*lines, "", ""])


def test_the_table_of_metrics_is_current():
    assert METRICS.search(page(OPERATIONS))[2] == metrics_table(), "run python -m tests.unit.test_docs --write"


@pytest.mark.parametrize("name", PAGES)
def test_every_metric_that_is_named_exists(name):
    known = {metric.name for metric in describe()}

    assert set(re.findall(r"\bingest_(?:ship|sink|log|schedule|build)_\w+", page(name))) <= known


def test_everything_that_stops_a_partition_is_an_alarm():
    deciding = "".join(page(f"ingest/{name}.py") for name in ("sink/loss", "broker/problems"))
    kinds = {*re.findall(r'kind="([\w ]+)"', deciding), "quarantine", FAILED}
    alarms = " ".join(row[0] for row in table(page(OPERATIONS), "alarm"))

    assert {kind for kind in kinds if f'"{kind}"' not in alarms} == set()


def test_every_reason_that_closes_a_range_is_told():
    used = {Reason[name].value for name in re.findall(r"\bReason\.([A-Z]+)\b", sources())}
    told = {word for row in table(page(OPERATIONS), "a range is closed for") for word in row[0].split(", ")}

    assert used == told


def test_every_unit_is_told():
    units = {path.name for path in (ROOT / "conf" / "systemd").iterdir() if path.suffix != ".conf"}
    told = page(OPERATIONS)

    # A timer and its service are one thing to an operator.
    assert {name for name in units if name not in told} == {"ingest-sink-once.service"}


# ── words ──────────────────────────────────────────────────────────────────


def glossary():
    return [word for row in table(page(GLOSSARY), "word") for word in row[0].split(", ")]


def test_every_word_of_the_glossary_stands_there_once():
    assert len(glossary()) == len(set(glossary()))


@pytest.mark.parametrize("word", glossary())
def test_every_word_of_the_glossary_is_used_by_the_code(word):
    stems = [re.escape(part) + "s?" for part in word.split()]

    assert re.search(rf"(?:\b|_){'[ _]'.join(stems)}", sources(), re.IGNORECASE)


# ── examples for authors of connectors ──────────────────────────────────────────────────────────────────

PYTHON = blocks("python", ["docs/connectors.md"])


@pytest.mark.parametrize("block", [block for block in PYTHON if "ingest.testing" not in block.text], ids=str)
def test_every_example_is_a_part_of_the_example_distribution(block):
    assert block.text in (EXAMPLE / "ingest_example.py").read_text(encoding="utf-8")


def test_the_entry_points_that_are_shown_are_those_of_the_example_distribution():
    [block] = blocks("ini", ["docs/connectors.md"])

    assert block.text in (EXAMPLE / "setup.cfg").read_text(encoding="utf-8")


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    written = METRICS.sub(lambda found: found[1] + metrics_table() + found[3], page(OPERATIONS))
    (ROOT / OPERATIONS).write_text(written, encoding="utf-8")
