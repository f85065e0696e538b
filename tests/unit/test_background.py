"""Row groups that are encoded on other threads."""

import errno
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.sink.background import BackgroundFile, Encoder
from ingest.sink.encode import ParquetFile
from ingest.sink.encodings import Encodings
from ingest.sink.threads import Threads

SCHEMA = pa.schema([("n", pa.int64())])


@pytest.fixture
def threads():
    made = Threads("test", 2)
    yield made
    made.close()


def table(begin, end):
    return pa.table({"n": np.arange(begin, end)}, SCHEMA)


class Gated(ParquetFile):
    """A file whose writes wait until the test lets them through, and then fail if it says so."""

    def __init__(self, path):
        super().__init__(path, SCHEMA, Encodings())
        self.gate, self.begun = threading.Event(), threading.Semaphore(0)
        self.failure = None

    def write(self, table):
        self.begun.release()
        assert self.gate.wait(10)
        if self.failure is not None:
            self.abandon()
            raise self.failure
        super().write(table)


def test_row_groups_come_in_order_and_closing_waits_for_them(tmp_path, threads):
    file = BackgroundFile(ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings()), Encoder(threads, 2))
    for begin in range(0, 1000, 100):
        file.write(table(begin, begin + 100))
    done = file.close(0, 999)
    assert pq.read_table(done.path)["n"].to_pylist() == list(range(1000))
    assert pq.ParquetFile(done.path).num_row_groups == 10
    assert file.bytes == done.bytes


def test_whoever_writes_goes_on_while_a_row_group_is_encoded(tmp_path, threads):
    gated = Gated(tmp_path / "a.parquet")
    file = BackgroundFile(gated, Encoder(threads, 2))
    file.write(table(0, 10))
    assert gated.begun.acquire(timeout=10)  # it is under way, and we are here
    gated.gate.set()
    assert pq.read_table(file.close(0, 9).path).num_rows == 10


def test_only_so_many_row_groups_wait_all_files_together(tmp_path, threads):
    encoder = Encoder(threads, 1)
    first = Gated(tmp_path / "a.parquet")
    second = BackgroundFile(ParquetFile(tmp_path / "b.parquet", SCHEMA, Encodings()), encoder)
    busy = BackgroundFile(first, encoder)
    busy.write(table(0, 10))
    written = threading.Event()
    writer = threading.Thread(target=lambda: (second.write(table(0, 10)), written.set()))
    writer.start()
    assert first.begun.acquire(timeout=10)
    assert not written.is_set()
    first.gate.set()
    assert written.wait(10)
    writer.join()
    busy.close(0, 9)
    second.close(0, 9)


@pytest.mark.parametrize("then", ["write", "close"])
def test_an_error_comes_out_of_the_next_call_and_the_file_is_gone(tmp_path, threads, then):
    gated = Gated(tmp_path / "a.parquet")
    gated.failure = OSError(errno.ENOSPC, "no space")
    gated.gate.set()
    file = BackgroundFile(gated, Encoder(threads, 2))
    file.write(table(0, 10))
    with pytest.raises(OSError, match="no space"):
        file.write(table(10, 20)) if then == "write" else file.close(0, 9)
    assert list(tmp_path.iterdir()) == []
    file.abandon()


def test_abandoning_waits_and_leaves_nothing_behind(tmp_path, threads):
    gated = Gated(tmp_path / "a.parquet")
    file = BackgroundFile(gated, Encoder(threads, 2))
    file.write(table(0, 10))
    abandoning = threading.Thread(target=file.abandon)
    abandoning.start()
    assert gated.begun.acquire(timeout=10)
    gated.gate.set()
    abandoning.join(10)
    assert list(tmp_path.iterdir()) == []
