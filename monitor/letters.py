"""Dead letters as text. Their contents are untrusted: nothing is printed unescaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.table import Table

from gradwatch.streams.dead_letters import DeadLetterNotFoundError, Letter, read_letter
from gradwatch.streams.wire.records import Record

SHOWN_BYTES = 256  # of a header's value, and of the value's start
ROW_BYTES = 16


@dataclass(frozen=True, slots=True)
class LetterSummary:
    """A line of the list: a letter without its bytes, so that many fit in memory."""

    place: str
    timestamp_ms: int
    stream_id: str
    cause: str
    error: str
    message: str
    came_from: str
    size: int  # bytes of the key, value and headers that were kept
    left_out: tuple[str, ...]
    requeued: int


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Selects letters of one stream, of one cause, from `since_ms` on; None and 0 select all."""

    stream_id: str | None = None
    cause: str | None = None
    since_ms: int = 0

    def match(self, record: Record) -> Letter | None:
        """The letter in `record` if it is selected; None too for a record that is no dead letter."""
        try:
            letter = read_letter(record)
        except DeadLetterNotFoundError:
            return None
        matches = self.stream_id in (None, letter.stream_id) and self.cause in (None, letter.cause)
        return letter if matches and letter.timestamp_ms >= self.since_ms else None

    def summary(self, record: Record) -> LetterSummary | None:
        """The summary of the letter in `record` if it is selected."""
        letter = self.match(record)
        return None if letter is None else summary_of(letter)


def summary_of(letter: Letter) -> LetterSummary:
    """The letter without its bytes."""
    record = letter.record
    return LetterSummary(
        letter.place,
        letter.timestamp_ms,
        letter.stream_id,
        letter.cause,
        letter.error,
        letter.message,
        f"{record.topic}[{record.partition}] offset {record.offset}",
        record.size,
        letter.left_out,
        letter.requeued,
    )


def table(summaries: Iterable[LetterSummary]) -> Table:
    """The list of letters as a table; their texts are whole."""
    listing = Table()
    for heading in ("place", "rejected", "stream", "cause", "bytes", "requeued", "why"):
        listing.add_column(heading, overflow="fold")  # on a narrow terminal nothing is cut off
    for summary in summaries:
        size = f"{summary.size}" + ("+" if summary.left_out else "")
        row = [summary.place, moment(summary.timestamp_ms), summary.stream_id, summary.cause, size]
        listing.add_row(*(_plain(text) for text in [*row, str(summary.requeued or ""), summary.message]))
    return listing


def by_stream(summaries: Iterable[LetterSummary]) -> Iterator[str]:
    """A line for each stream: how many letters of which cause it has."""
    counts: dict[str, Counter[str]] = {}
    for summary in summaries:
        counts.setdefault(summary.stream_id, Counter())[summary.cause or summary.error] += 1
    for stream_id, causes in sorted(counts.items()):
        shares = ", ".join(f"{count} {escaped(cause.encode())}" for cause, count in causes.most_common())
        yield f"{escaped(stream_id.encode())}: {shares}"


def details(letter: Letter) -> Iterator[str]:
    """One letter, line by line: context, headers, the start of the value."""
    record, summary = letter.record, summary_of(letter)
    yield f"dead letter {letter.place}, rejected {moment(letter.timestamp_ms)}"
    yield f"original    {escaped(summary.came_from.encode())}, published {moment(record.timestamp_ms)}"
    yield f"stream      {escaped(letter.stream_id.encode())}"
    yield f"rejected in {escaped(f'{letter.stage}: {letter.cause} ({letter.error})'.encode())}"
    yield f"reason      {escaped(letter.message.encode())}"
    yield f"requeued    {letter.requeued} times"
    if letter.left_out:
        yield f"left out    {', '.join(letter.left_out)}: too large for a dead letter"
    yield f"key         {_shown(record.key)}"
    yield f"headers     {len(record.headers)}"
    for name, content in record.headers:
        yield f"  {escaped(name.encode())}: {_shown(content)}"
    yield f"value       {'null' if record.value is None else f'{len(record.value)} bytes'}"
    yield from hexdump((record.value or b"")[:SHOWN_BYTES])


def hexdump(content: bytes) -> Iterator[str]:
    """Lines of an offset, 16 bytes in hex, and the same as printable ASCII."""
    for at in range(0, len(content), ROW_BYTES):
        row = content[at : at + ROW_BYTES]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"  {at:08x}  {row.hex(' '):<{3 * ROW_BYTES}} {text}"


def escaped(content: bytes) -> str:
    """ASCII only: control characters would steer the terminal, and letters of other scripts imitate Latin ones."""
    return content.decode("utf-8", "surrogateescape").encode("unicode_escape").decode("ascii")


def moment(timestamp_ms: int) -> str:
    """UTC to the second; the plain number where a producer wrote one that is no date."""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{timestamp_ms} ms"


def _shown(content: bytes | None) -> str:
    if content is None:
        return "null"
    more = f" … {len(content)} bytes" if len(content) > SHOWN_BYTES else ""
    return escaped(content[:SHOWN_BYTES]) + more


def _plain(text: str) -> str:
    # [ begins rich's markup
    return escaped(text.encode()).replace("[", r"\[")
