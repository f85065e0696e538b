import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ingest
from ingest.cli import console
from ingest.cli.main import main
from ingest.errors import Fatal, IngestError, UsageError

SAMPLE = str(Path(__file__).parents[2] / "conf" / "ingest.toml")


def run(arguments, **settings):
    """Run the command in a process of its own, with what it writes taken as bytes."""
    environment = os.environ | settings.pop("environment", {})
    return subprocess.run(
        [sys.executable, "-m", "ingest.cli.main", *arguments], env=environment, timeout=60, check=False, **settings
    )


def test_check_prints_what_would_run(capsys):
    assert main(["check", "-c", SAMPLE, "--listen", "0.0.0.0:80", "--state", "/tmp/ingest-state"]) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"{SAMPLE} is valid." in lines
    assert 'web file app-logs paths = ["/var/log/app/*.log"]' in lines
    assert "sink writes to local /srv/warehouse" in lines
    assert "app-logs json dt=%Y-%m-%d/hour=%H (UTC) 5_000_000 rows, 256MiB, age 10m, idle 2m" in lines
    assert "kafka localhost:9092 (PLAINTEXT)" in lines
    assert "web 0.0.0.0:80" in lines
    assert "state /tmp/ingest-state" in lines


def test_check_writes_nothing_on_disk(tmp_path):
    main(["check", "-c", SAMPLE, "--state", str(tmp_path / "state")])

    assert list(tmp_path.iterdir()) == []


def test_check_reports_every_problem_on_a_line_of_its_own_and_exits_with_2(tmp_path, capsys):
    path = tmp_path / "bad.toml"
    path.write_text('[kafka]\nbootstrap = 5\n[log]\nlevel = "l\\u001b[31moud"\n')

    assert main(["check", "-c", str(path)]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert [line[: len(f"error: {path}:0:")] for line in err.splitlines()] == [f"error: {path}:2:", f"error: {path}:4:"]
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "nothing would run"),
        (
            "[[source]]\nname='a'\ntype='file'\ntopic='t'\npaths=['/a']",
            "kafka.bootstrap: missing; ingest ship needs it",
        ),
    ],
)
def test_check_refuses_a_file_that_lacks_what_it_would_run_with(tmp_path, capsys, text, problem):
    path = tmp_path / "ingest.toml"
    path.write_text(text)

    assert main(["check", "-c", str(path)]) == 2
    assert problem in capsys.readouterr().err


def test_check_says_what_a_file_without_servers_is_good_for(tmp_path, capsys):
    path = tmp_path / "ingest.toml"
    path.write_text(
        "[sink]\ngroup='g'\ntopics=['t']\npatterns=['^x']\ndestination={type='local', root='/w', file_mode='0600'}\n"
        "defaults={parser='raw'}"
    )

    assert main(["check", "-c", str(path)]) == 0

    out = capsys.readouterr().out
    assert "none: only backfill and verify can use this file" in out
    assert 'sink writes to local /w (file_mode = "0600")' in out


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["check"], ["check", "-c", SAMPLE, "--nonsense"], ["check", "x"]]
)
def test_wrong_usage_exits_with_2_and_says_so_without_a_traceback(arguments, capsys):
    assert main(arguments) == 2

    out, err = capsys.readouterr()
    assert "Usage: ingest" in out + err
    assert "Traceback" not in err


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ingest {ingest.__version__}\n"


def test_connectors_are_listed_with_their_origin(capsys):
    assert main(["connectors"]) == 0
    rows = [line.split()[:4] for line in capsys.readouterr().out.splitlines()]
    assert ["filesystem", "local", "ingest", ingest.__version__] in rows

    assert main(["connectors", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {
        "kind": "parser",
        "name": "raw",
        "origin": "ingest",
        "version": ingest.__version__,
        "target": "ingest.connectors.parsers.raw:RawParser",
    } in found


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("no"), 2), (IngestError("no"), 1), (Fatal("no"), 1), (KeyboardInterrupt(), 130)],
)
def test_errors_end_with_their_exit_code_and_a_plain_line(monkeypatch, capsys, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("ingest.cli.check.load", fail)

    assert main(["check", "-c", SAMPLE]) == code
    assert capsys.readouterr().err == ("" if isinstance(error, KeyboardInterrupt) else "error: no\n")


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}])
def test_any_locale_gets_an_answer(tmp_path, locale):
    path = tmp_path / "é.toml"
    path.write_text("[log]\nlevel = 'ü'\n")

    done = run(["check", "-c", str(path)], environment=locale, capture_output=True)

    assert done.returncode == 2
    assert b"log.level: expected one of" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["connectors"], ["check", "-c", SAMPLE], ["--help"]])
def test_a_reader_that_left_is_no_reason_for_a_traceback(arguments):
    read, write = os.pipe()
    os.close(read)
    try:
        done = run(arguments, stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)

    assert done.stderr == b""
    assert done.returncode == 1


def test_on_a_terminal_a_table_is_ruled_and_folds_what_is_long(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")

    console.print_table(["name", "value"], [["[bold]a", "y" * 60], ["b", "\x1b[31m"]])

    out = capsys.readouterr().out
    assert "─" in out
    assert "[bold]a" in out
    assert out.count("y") == 60
    assert "\x1b[31m" not in out
