"""Tables kept on this machine, in blocks that each carry a checksum.

Arrow reads what it is given where it lies, and trusts it: a bit that flipped may end the process. So no byte of a block
reaches Arrow unless the block is as it was written.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

MAGIC = b"zsync\0b1"
BLOCK_ROWS = 16_384
_HEAD = struct.Struct("<8sQ32s")  # magic, length of what follows, its BLAKE3


def sealed(table: pa.Table) -> Iterator[bytes]:
    """Yield a table as bytes, block by block."""
    import pyarrow as pa
    from blake3 import blake3

    for start in range(0, max(len(table), 1), BLOCK_ROWS):
        part = table.slice(start, BLOCK_ROWS)
        buffer = io.BytesIO()
        with pa.ipc.new_stream(buffer, table.schema) as writer:
            writer.write_table(part)
        body = buffer.getvalue()
        yield _HEAD.pack(MAGIC, len(body), blake3(body).digest())
        yield body


def keep_sealed(path: Path, tables: Iterable[pa.Table]) -> None:
    """Put tables in the place of what a file holds, in one step.

    Raises
    ------
    OSError
        It cannot be written; what was there is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(block for table in tables for block in sealed(table))
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def unsealed(data: bytes, schema: pa.Schema) -> tuple[pa.Table, bool]:
    """Return what of a table is as it was written, and whether that is all of it."""
    import pyarrow as pa

    tables = []
    is_whole = True
    view = memoryview(data)
    while view:
        block, rest = _next_block(view)
        if block is None:
            is_whole = False
            place = data.find(MAGIC, len(data) - len(view) + 1)  # the next one may be sound
            view = memoryview(data)[place:] if place > 0 else view[:0]
            continue
        view = rest
        table = pa.ipc.open_stream(pa.BufferReader(block)).read_all()
        if table.schema.equals(schema):
            tables.append(table)
        else:
            is_whole = False
    return (pa.concat_tables(tables) if tables else schema.empty_table()), is_whole


def _next_block(view: memoryview) -> tuple[memoryview | None, memoryview]:
    from blake3 import blake3

    if len(view) < _HEAD.size:
        return None, view
    magic, length, digest = _HEAD.unpack(view[: _HEAD.size])
    body, rest = view[_HEAD.size : _HEAD.size + length], view[_HEAD.size + length :]
    is_sound = magic == MAGIC and len(body) == length and blake3(body).digest() == digest
    return (body, rest) if is_sound else (None, view)
