"""Slices of line blocks and joins of record blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ingest.blocks import Identity, LineBlock, RecordBlock


def slice_block(block: LineBlock, lo: int, hi: int) -> LineBlock:
    """Return the rows [lo, hi) as a block of their own; the data is shared, not copied.

    Only the slice that holds the last row keeps the block's `end`, `boundary` and `state`; the others end with their
    last row, at no boundary, with an empty state.
    """
    last = hi == block.rows
    return LineBlock(
        block.stream,
        block.data,
        block.starts[lo:hi],
        block.ends[lo:hi],
        block.positions[lo : hi + 1],
        block.end if last else int(block.positions[hi]),
        {row - lo: flag for row, flag in block.flags.items() if lo <= row < hi},
        block.boundary and last,
        block.state if last else {},
    )


def concat(blocks: Sequence[RecordBlock]) -> RecordBlock:
    """Join consecutive blocks of one topic partition into one. `next_offset` and `leader_epoch` are the last one's.

    Raises:
        ValueError: no blocks, of several partitions, not consecutive, or 2 GiB of values or more.
    """
    if not blocks:
        raise ValueError("no blocks to join")
    head, tail = blocks[0], blocks[-1]
    if len(blocks) == 1:
        return head
    if any((block.topic, block.partition) != (head.topic, head.partition) for block in blocks):
        raise ValueError("blocks of several topic partitions can't be joined")
    firsts = np.cumsum([0, *(block.rows for block in blocks[:-1])]).tolist()
    offsets = np.concatenate([block.offsets for block in blocks])
    if (offsets[1:] <= offsets[:-1]).any():
        raise ValueError(f"topic {head.topic} partition {head.partition}: blocks to be joined are not consecutive")
    return RecordBlock(
        head.topic,
        head.partition,
        offsets,
        np.concatenate([block.timestamps for block in blocks]),
        pa.concat_arrays([block.values for block in blocks]),
        _keys(blocks),
        Identity(
            np.concatenate([block.identity.present for block in blocks]),
            np.concatenate([block.identity.generation for block in blocks]),
            np.concatenate([block.identity.start for block in blocks]),
            np.concatenate([block.identity.end for block in blocks]),
        ),
        _renumbered([block.sources for block in blocks], firsts),
        _renumbered([block.flags for block in blocks], firsts),
        tail.next_offset,
        tail.leader_epoch,
        sum(block.nbytes for block in blocks),
    )


def _keys(blocks: Sequence[RecordBlock]) -> pa.BinaryArray | None:
    if all(block.keys is None for block in blocks):
        return None
    return pa.concat_arrays(
        [pa.nulls(block.rows, pa.binary()) if block.keys is None else block.keys for block in blocks]
    )


def _renumbered(maps: Sequence[Mapping[int, bytes]], firsts: Sequence[int]) -> dict[int, bytes]:
    return {first + row: value for first, rows in zip(firsts, maps, strict=True) for row, value in rows.items()}
