import errno

import crc32c
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.config.model import LEVELS, ParquetOptions
from ingest.sink.encode import ParquetFile
from ingest.sink.encodings import Encodings

SCHEMA = pa.schema([("id", pa.int64()), ("level", pa.string()), ("at", pa.timestamp("us", tz="UTC"))])


def table(count=1000, start=0):
    return pa.table(
        {"id": range(start, start + count), "level": ["info"] * count, "at": range(start, start + count)}, SCHEMA
    )


def test_what_is_written_is_read_back_in_row_groups(tmp_path):
    file = ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings(), topic="app-logs", partition=3)
    file.write(table(1000))
    file.write(table(500, 1000))
    done = file.close(first_offset=100, last_offset=1700, min_time=5, max_time=9)
    content = done.path.read_bytes()
    assert (done.rows, done.bytes, done.crc32c) == (1500, len(content), crc32c.crc32c(content))
    assert (done.first_offset, done.last_offset, done.min_time, done.max_time) == (100, 1700, 5, 9)
    read = pq.ParquetFile(done.path)
    assert read.num_row_groups == 2
    assert read.read().equals(pa.concat_tables([table(1000), table(500, 1000)]))
    assert {key: value for key, value in read.metadata.metadata.items() if key.startswith(b"ingest.")} == {
        b"ingest.topic": b"app-logs",
        b"ingest.partition": b"3",
        b"ingest.first_offset": b"100",
        b"ingest.last_offset": b"1700",
        b"ingest.rows": b"1500",
    }
    read.close()


def test_a_file_without_rows_is_still_a_file(tmp_path):
    done = ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings()).close(0, 0)
    assert pq.read_table(done.path).schema.equals(SCHEMA)


@pytest.mark.parametrize(
    ("compression", "level"),
    [*((name, None) for name in ("zstd", "snappy", "gzip", "lz4", "brotli", "none")), *((name, 3) for name in LEVELS)],
)
def test_every_codec_can_be_read_back(tmp_path, compression, level):
    file = ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings(ParquetOptions(compression=compression, level=level)))
    file.write(table())
    assert pq.read_table(file.close(0, 999).path).equals(table())


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int64()),
        pa.struct([("x", pa.string())]),
        pa.map_(pa.string(), pa.int64()),
        pa.decimal128(38, 9),
        pa.binary(),
        pa.bool_(),
        pa.date32(),
        pa.float32(),
    ],
)
def test_every_type_can_be_written(tmp_path, kind):
    rows = pa.table({"a": pa.nulls(10, kind)})
    file = ParquetFile(tmp_path / "a.parquet", rows.schema, Encodings())
    file.write(rows)
    assert pq.read_table(file.close(0, 9).path).equals(rows)


def test_it_never_overwrites(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings())
    assert (tmp_path / "a.parquet").read_bytes() == b"mine"


def test_an_abandoned_file_is_gone(tmp_path):
    file = ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings())
    file.write(table())
    file.abandon()
    file.abandon()
    assert list(tmp_path.iterdir()) == []


def test_another_schema_is_refused_and_the_file_is_gone(tmp_path):
    file = ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings())
    file.write(table())
    with pytest.raises(ValueError, match="columns"):
        file.write(pa.table({"other": [1]}))
    assert list(tmp_path.iterdir()) == []


def test_leaving_without_close_abandons(tmp_path):
    with ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings()) as file:
        file.write(table())
    with ParquetFile(tmp_path / "b.parquet", SCHEMA, Encodings()) as file:
        file.close(0, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["b.parquet"]


def write_all(file):
    for start in range(0, 5000, 1000):
        file.write(table(1000, start))
    file.close(0, 4999)


@pytest.mark.parametrize("allowed", [0, 1, 2, 3, 5, 8])
def test_a_full_disk_leaves_no_file_behind(tmp_path, monkeypatch, allowed):
    """The n-th write to the disk fails, whichever it is: of the head, a row group or the footer."""
    file = ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings())
    real = file._sink._file

    class Full:
        writes = 0

        def write(self, data):
            self.writes += 1
            if self.writes > allowed:
                raise OSError(errno.ENOSPC, "no space left on device")
            return real.write(data)

        def __getattr__(self, name):
            return getattr(real, name)

    monkeypatch.setattr(file._sink, "_file", Full())
    with pytest.raises(OSError, match="no space"):
        write_all(file)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_as_long_as_what_was_written_is_gone(tmp_path):
    file = ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings())
    file.write(table())
    with file.path.open("ab") as other:
        other.write(bytes(1 << 20))
    with pytest.raises(OSError, match="the file holds"):
        file.close(0, 999)
    assert list(tmp_path.iterdir()) == []


def test_a_row_group_has_no_more_rows_than_it_may(tmp_path):
    file = ParquetFile(tmp_path / "a.parquet", SCHEMA, Encodings(ParquetOptions(row_group=300)))
    file.write(table(1000))
    done = file.close(0, 999)
    metadata = pq.ParquetFile(done.path).metadata
    assert [metadata.row_group(each).num_rows for each in range(metadata.num_row_groups)] == [300, 300, 300, 100]
    assert pq.read_table(done.path).equals(table())
