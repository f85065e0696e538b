"""Parsers of texts, the slow way and the fast one: what they make of values, in a form that can be compared."""

import numpy as np
import pyarrow as pa


def slow(parser):
    """Return the same parser without its fast way: each value is read alone, each field fitted alone."""
    made = type(parser)(parser.options)
    made.split = lambda text, moments, schema: []
    return made


def parse(parser, values, *, schema=None, moments=None):
    schema = parser.schema() if schema is None else schema
    moments = np.full(len(values), -1) if moments is None else np.array(moments, np.int64)
    return parser.parse_dated(pa.array(values, pa.binary()), schema, moments)


def facts(parsed):
    """Return all that there is to know; cells as texts that tell 0.0 from -0.0."""
    parsed.table.validate(full=True)
    return {
        "schema": parsed.table.schema,
        "rows": dict(zip(parsed.rows.tolist(), [repr(row) for row in parsed.table.to_pylist()], strict=True)),
        "order": parsed.rows.tolist(),
        "rejects": dict(zip(parsed.rejects.tolist(), parsed.reasons, strict=True)),
        "reject order": parsed.rejects.tolist(),
        "new": parsed.new_columns,
        "counted": {reason: count for reason, count in parsed.counted.items() if count},
    }


def read(parser, value, *, moment=-1, schema=None):
    """Return the columns of one value that are not null, or why it is refused; both ways must say the same."""
    found = [parse(each, [value], schema=schema, moments=[moment]) for each in (parser, slow(parser))]
    assert facts(found[0]) == facts(found[1])
    [parsed, _] = found
    if parsed.reasons:
        return parsed.reasons[0]
    return {name: cell for name, cell in parsed.table.to_pylist()[0].items() if cell is not None}
