"""The suite that every parser passes.

Subclass it in a test module:

    class TestMyParser(ParserContract):
        parser = MyParser(MyParser.Options())
        samples = (b"a line that it parses", b"one that it refuses")
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.api import Parsed, Parser

_ROUNDS = 4
_FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class ParserContract:
    """What the sink relies on.

    Attributes:
        parser: the one under test.
        samples: values worth trying beside random bytes.
    """

    parser: ClassVar[Parser[Any]]
    samples: ClassVar[tuple[bytes, ...]] = ()

    def blocks(self) -> st.SearchStrategy[list[bytes | None]]:
        """Return lists of values: random bytes, the samples, nulls."""
        kinds: list[st.SearchStrategy[bytes | None]] = [st.binary(max_size=40), st.none()]
        if self.samples:
            kinds += [st.sampled_from(self.samples), st.sampled_from(self.samples)]
        return st.lists(st.one_of(kinds), max_size=20)

    def parse(self, values: list[bytes | None], schema: pa.Schema) -> Parsed:
        """Parse a list."""
        return self.parser.parse(pa.array(values, pa.binary()), schema)

    def schema_for(self, values: list[bytes | None]) -> pa.Schema:
        """Return the parser's schema, or the one agreed on for these values."""
        schema = self.parser.schema()
        if schema is not None:
            return schema
        schema = pa.schema([])
        for _ in range(_ROUNDS):
            new = self.parse(values, schema).new_columns
            if not new:
                return schema
            schema = pa.schema([*schema, *new])
        raise AssertionError("it goes on proposing columns for the same values")

    def check(self, values: list[bytes | None], schema: pa.Schema) -> Parsed:
        """Parse and check the shape of what comes back."""
        parsed = self.parse(values, schema)
        rows, rejects = parsed.rows.tolist(), parsed.rejects.tolist()
        assert not parsed.new_columns
        assert sorted(rows + rejects) == list(range(len(values))), "every value is a row or a reject, never both"
        assert rows == sorted(rows), "rows ascend"
        assert rejects == sorted(rejects), "rejects ascend"
        assert len(parsed.reasons) == len(rejects)
        assert all(parsed.reasons), "a reject has a reason"
        assert parsed.table.schema.equals(schema), "exactly the schema asked for"
        assert parsed.table.num_rows == len(rows)
        parsed.table.validate(full=True)
        return parsed

    def test_every_value_is_a_row_or_a_reject(self) -> None:
        """Arbitrary values never raise, and the table is what was asked for."""

        @_FAST
        @given(self.blocks())
        def run(values: list[bytes | None]) -> None:
            self.check(values, self.schema_for(values))

        run()

    def test_a_null_value_is_a_row_of_nulls(self) -> None:
        """A tombstone is kept."""

        @_FAST
        @given(self.blocks())
        def run(values: list[bytes | None]) -> None:
            parsed = self.check(values, self.schema_for(values))
            place = {row: index for index, row in enumerate(parsed.rows.tolist())}
            for row, value in enumerate(values):
                if value is None:
                    assert row in place
                    assert all(column[place[row]].as_py() is None for column in parsed.table.columns)

        run()

    def test_neighbours_do_not_matter(self) -> None:
        """Values parsed together give what they give apart."""

        @_FAST
        @given(self.blocks(), self.blocks())
        def run(first: list[bytes | None], second: list[bytes | None]) -> None:
            schema = self.schema_for(first + second)
            both = self.check(first + second, schema)
            left, right = self.check(first, schema), self.check(second, schema)
            assert both.rows.tolist() == left.rows.tolist() + [row + len(first) for row in right.rows.tolist()]
            assert both.reasons == left.reasons + right.reasons
            assert _texts(both) == _texts(left) + _texts(right)

        run()

    def test_the_same_values_give_the_same_rows_in_many_threads(self) -> None:
        """Parse is pure."""
        values = [*self.samples, None, b"", b"\xff", b"{}"] * 50
        schema = self.schema_for(values)
        expected = self.check(values, schema)
        found: list[Parsed] = []
        threads = [threading.Thread(target=lambda: found.append(self.parse(values, schema))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == len(threads)
        for parsed in found:
            assert parsed.rows.tolist() == expected.rows.tolist()
            assert parsed.reasons == expected.reasons
            assert parsed.counted == expected.counted
            assert _texts(parsed) == _texts(expected)

    def test_slices_are_read_as_slices(self) -> None:
        """Values may be a part of a larger array."""
        values = [b"before", *self.samples, None, b"after"]
        schema = self.schema_for(values)
        sliced = self.parser.parse(pa.array(values, pa.binary()).slice(1, len(values) - 2), schema)
        whole = self.check(values[1:-1], schema)
        assert sliced.rows.tolist() == whole.rows.tolist()
        assert _texts(sliced) == _texts(whole)


def _texts(parsed: Parsed) -> list[str]:
    """Return each row as a text that tells what equality does not (0.0 and -0.0, NaN)."""
    return [repr(row) for row in parsed.table.to_pylist()]
