"""Reads the records of MCAP files from front to back, so that a file whose recorder was killed yields all whole ones.

Chunks are unpacked here and not by the library, which unpacks whatever size a few bytes claim to have.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from .files import MAX_CHUNK_BYTES, BagError, reading, unpack_zstd

MAGIC = b"\x89MCAP0\r\n"
MAX_RECORD_BYTES = 1 << 30  # a damaged length must not take all memory


class TruncatedBagError(BagError):
    """The end of a bag is missing; everything before it was read."""


def mcap_channels(file: Path) -> Iterator[tuple[Any, Any]]:
    """Channels and their schemas: from the summary where the file has one, else from all of its records."""
    from mcap.reader import SeekingReader
    from mcap.records import Channel

    with reading(file):
        if _is_whole(file):
            with file.open("rb") as opened:
                summary = SeekingReader(opened, record_size_limit=MAX_RECORD_BYTES).get_summary()
            if summary is not None and summary.channels:
                yield from ((c, summary.schemas.get(c.schema_id)) for c in summary.channels.values())
                return
    with suppress(TruncatedBagError):  # reported once, when the messages are read
        yield from (found for found in mcap_records(file, lambda *_: None) if isinstance(found[0], Channel))


def mcap_records(file: Path, pass_over: Callable[[str, Exception], None]) -> Iterator[tuple[Any, Any]]:
    """All records in order, a channel with its schema; calls `pass_over` (where, why) for a chunk that is damaged.

    Raises TruncatedBagError where the file is cut off, BagError where the records behind a place can't be found.
    """
    from mcap.exceptions import EndOfFile
    from mcap.records import Chunk, Schema
    from mcap.stream_reader import StreamReader

    schemas: dict[int, Any] = {}
    with file.open("rb") as opened, reading(file):
        bounded: Any = _Bounded(opened, file.stat().st_size)
        reader = StreamReader(bounded, emit_chunks=True, record_size_limit=MAX_RECORD_BYTES)
        try:
            for outer in reader.records:
                where = f"chunk before byte {opened.tell()} of {file.name}"
                for record in _records_of(outer, where, pass_over) if isinstance(outer, Chunk) else [outer]:
                    if isinstance(record, Schema):
                        schemas[record.id] = record
                    yield record, schemas.get(getattr(record, "schema_id", 0))
        except EndOfFile:
            if _is_whole(file):
                raise BagError(f"{file}: expected whole records, got one that ends beyond the file") from None
            raise TruncatedBagError(f"{file} is cut off within a record, at {file.stat().st_size} bytes") from None


class _Bounded:
    """Reads a file, and never asks for more bytes than it has: the library asks for any that a length states."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        content = self._file.read(min(size, self._left))
        self._left -= len(content)
        return content


def _records_of(chunk: Any, where: str, pass_over: Callable[[str, Exception], None]) -> Iterator[Any]:
    """The schemas, channels and messages in a chunk: it may have nothing else."""
    from mcap.data_stream import ReadDataStream
    from mcap.opcode import Opcode
    from mcap.records import Channel, Message, Schema

    try:
        content = _unpack(chunk)
        stream = ReadDataStream(BytesIO(content))
        while stream.count < len(content):
            opcode, length = stream.read1(), stream.read8()
            if length > len(content) - stream.count:
                raise BagError(f"expected a record within the chunk, got one of {length} bytes")
            if opcode == Opcode.MESSAGE:
                yield Message.read(stream, length)
            elif opcode == Opcode.SCHEMA:
                yield Schema.read(stream)
            elif opcode == Opcode.CHANNEL:
                yield Channel.read(stream)
            else:
                raise BagError(f"expected schemas, channels and messages in a chunk, got a record of type {opcode}")
    except Exception as error:  # the libraries raise anything on damaged bytes
        pass_over(where, error)


def _unpack(chunk: Any) -> bytes:
    size = chunk.uncompressed_size
    if size > MAX_CHUNK_BYTES:
        raise BagError(f"expected at most {MAX_CHUNK_BYTES >> 20} MiB unpacked, got {size >> 20} MiB")
    if chunk.compression == "zstd":
        content = unpack_zstd(chunk.data, size)
    elif chunk.compression == "lz4":
        import lz4.frame

        content = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, max_length=size)
    elif chunk.compression == "":
        content = chunk.data
    else:
        raise BagError(f"expected compression by zstd, lz4 or none, got {chunk.compression!r}")
    if len(content) != size:
        raise BagError(f"expected {size} bytes unpacked, got {len(content)}")
    if chunk.uncompressed_crc and zlib.crc32(content) != chunk.uncompressed_crc:
        raise BagError(f"expected the checksum {chunk.uncompressed_crc}, got {zlib.crc32(content)}")
    return content


def _is_whole(file: Path) -> bool:
    """Whether an MCAP is finished: a recorder that is killed writes no magic at the end."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        opened.seek(max(0, size - len(MAGIC)))
        return opened.read() == MAGIC and size > len(MAGIC)
