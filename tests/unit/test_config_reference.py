import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from ingest.config.declared import sections, struct_of
from ingest.config.decode import Decoder, decode
from ingest.config.load import load
from ingest.config.model import Tables, TopicOptions
from ingest.config.problems import Problems
from ingest.config.reference import main, texts
from ingest.config.registry import Registry

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "conf" / "ingest.toml"


@pytest.mark.parametrize("name", ["conf/ingest.toml", "docs/configuration.md"])
def test_the_files_in_the_tree_are_what_the_declarations_say(name):
    stale = "stale: run python -m ingest.config.reference --write"

    assert (ROOT / name).read_text(encoding="utf-8") == texts(Registry())[name], stale


def test_the_sample_file_is_accepted_as_it_stands():
    config = load(SAMPLE, environment={})

    config.require("run")
    assert config.for_topic("app-logs").parser_name == "json"


def uncommented(block):
    return "\n".join(line.removeprefix("#") if re.match(r"#[A-Za-z_\[]", line) else line for line in block.splitlines())


def blocks():
    """The text of each table of the sample, in the order of `sections`."""
    text = SAMPLE.read_text(encoding="utf-8")
    # The head is no table, and what stands last is an example of an override.
    return text.split("\n\n")[1:-1]


INSIDE = {"source": 1, "filesystem": 2, "parser": 2}
"""Kind of connector → how many names lead to its own table."""


def struct_at(registry, section):
    names = list(section.path)
    struct = Tables
    if section.connector:
        kind, name = section.connector
        struct, names = getattr(registry, kind)(name).Options, names[INSIDE[kind] :]
    elif names[:2] == ["sink", "defaults"]:
        struct, names = TopicOptions, names[2:]
    for name in names:
        struct = struct_of(next(field for field in msgspec.structs.fields(struct) if field.name == name).type)
    return struct


CASES = list(zip(sections(Registry()), blocks(), strict=True))


@pytest.mark.parametrize(("section", "block"), CASES, ids=[f"{s.path}-{s.connector}" for s, _ in CASES])
def test_what_is_commented_out_in_the_sample_is_what_the_code_does_without_it(section, block):
    table = tomllib.loads(re.sub(r"^\[.*\]$", "", uncommented(block), flags=re.MULTILINE))
    struct = struct_at(Registry(), section)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}

    assert list(table) == [item.name for item in section.items]
    for item in section.items:
        field, problems = fields[item.name], Problems()
        value = Decoder(problems).value(field.type, table[item.name], (item.name,))
        if item.default not in (None, "[]", "{}") and not item.required:
            assert value == field.default
        if item.example is not None or item.default is not None:
            assert [problem.text for problem in problems] == []


def test_every_option_has_a_help_that_ends_as_a_sentence():
    for section in sections(Registry()):
        for item in section.items:
            assert item.text.endswith((".", ".)")), (section.path, item.name)


def test_every_option_without_a_default_has_an_example_or_a_plain_type():
    for section in sections(Registry()):
        for item in section.items:
            assert item.example or not item.required, (section.path, item.name)


def test_stale_files_are_told_and_written_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main([]) == 1
    assert "conf/ingest.toml is stale" in capsys.readouterr().err
    assert main(["--write"]) == 0
    assert main([]) == 0
    assert decode(Tables, {}).kafka.bootstrap == []
