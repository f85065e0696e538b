"""`ingest verify`, on a warehouse in a local directory."""

import json

import pytest

from ingest.cli.main import main
from ingest.cli.verify import _progress
from ingest.commit.committer import StartDraft
from ingest.config.registry import Registry
from ingest.testing.clock import ManualClock
from tests.builders.chains import committer, draft


@pytest.fixture
def root(tmp_path):
    """A warehouse with a chain of three commits, the second of which accepts a loss."""
    directory = tmp_path / "warehouse"
    connector = Registry().filesystem("local")
    warehouse = connector(connector.Options(type="local", root=str(directory)))
    warehouse.check()
    worker = committer(warehouse)
    worker.open(StartDraft(0))
    worker.commit(draft(0, 4))
    worker.accept_loss((4, 9), who="me@here", why="retention: known")
    worker.commit(draft(9, 12))
    warehouse.close()
    return directory


@pytest.fixture
def config(root, tmp_path):
    path = tmp_path / "ingest.toml"
    path.write_text(
        f"[sink]\ngroup='g'\ntopics=['t']\ndestination={{type='local', root='{root}'}}\ndefaults={{parser='raw'}}\n"
    )
    return path


def ingest(capsys, *arguments):
    code = main(["verify", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def data_files(root):
    return sorted(root.joinpath("t").rglob("*.parquet"))


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_a_whole_warehouse_is_verified_from_its_directory_alone(root, capsys, deep):
    code, out, err = ingest(capsys, root, *deep)

    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for count in ("chains 1", "commits 3", "files 2", "rows 7", "quarantined 0", "duplicates dropped 0"):
        assert count in lines
    assert "lost offsets, accepted 5" in lines
    (accepted,) = [line for line in lines if line.startswith("accepted loss")]
    assert "[4, 9) by me@here" in accepted
    assert lines[-1] == "verified: the files hold what the chains say"


def test_a_configuration_says_which_warehouse(config, root, capsys):
    assert ingest(capsys, "-c", config)[1] == ingest(capsys, root)[1]


def test_every_difference_has_a_line_with_its_path(root, capsys):
    first, second = data_files(root)
    first.unlink()
    second.chmod(0o600)
    second.write_bytes(second.read_bytes()[:-1])
    (second.parent / "foreign.parquet").write_bytes(b"x")

    code, out, _ = ingest(capsys, root)

    assert code == 4
    differences = out.partition("differences\n")[2].splitlines()
    for path in (first, second, second.parent / "foreign.parquet"):
        assert [line for line in differences if f" {path.relative_to(root)}: " in line]
    assert out.splitlines()[-1] == "NOT VERIFIED: 3 differences"


def test_json_is_all_that_stands_on_stdout(root, capsys):
    data_files(root)[0].unlink()

    code, out, _ = ingest(capsys, root, "--json")
    document = json.loads(out)

    assert code == 4
    assert document["ok"] is False
    assert document["counts"]["rows"] == 7
    assert [finding["kind"] for finding in document["differences"]] == ["missing"]
    assert [finding["kind"] for finding in document["notes"]] == ["accepted loss"]


def test_exactly_one_warehouse_must_be_named(config, root, capsys):
    for arguments in ([], ["-c", config, root]):
        code, _, err = ingest(capsys, *arguments)
        assert code == 2
        assert "one of the two" in err


def test_a_directory_that_is_no_warehouse_is_not_taken_for_a_whole_one(tmp_path, capsys):
    for directory, problem in ((tmp_path, "no warehouse"), (tmp_path / "gone", "no such directory")):
        code, out, err = ingest(capsys, directory)
        assert (code, out) == (2, "")
        assert problem in err


def test_a_relative_directory_is_fine(root, capsys, monkeypatch):
    monkeypatch.chdir(root.parent)

    assert ingest(capsys, root.name)[0] == 0


def test_progress_is_shown_on_a_terminal_alone_and_only_when_it_takes_long(capsys, monkeypatch):
    clock = ManualClock()
    with _progress(clock) as tell:
        assert tell is None

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with _progress(clock) as tell:
        tell(1, 10, "t/dt=1/a.parquet")
        assert capsys.readouterr().err == ""
        clock.advance(2)
        tell(2, 10, "t/dt=1/b.parquet")
    assert "b.parquet" in capsys.readouterr().err
