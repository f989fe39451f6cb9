"""Dead letters: records put aside with the reason, read again, and sent back to where they came from.

The headers `dlq_…` that say why follow those that the record came with; `dlq_topic` is the first of them. A record
may itself carry headers of these names, so only what stands behind the last `dlq_topic` is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from gradwatch import GradwatchError

from .observability.metrics import DEAD_LETTERS
from .transport.producer import BoundedProducer, Delivery, RecordTooLargeError
from .wire.frames import rejected_stamp
from .wire.records import Headers, Record
from .wire.topics import MAX_RECORD_BYTES, Topics

PREFIX = "dlq_"
FIRST = PREFIX + "topic"
REQUEUED = PREFIX + "requeued"
CONTEXT_BYTES = 4096  # room for the context below the size that producer, topic and consumer agree on
TOO_LARGE = "left out, too large"
NULL = "null"
PARTS = ("value", "headers", "key")
# What is tried before all parts are left out.
CUTS: tuple[tuple[str, ...], ...] = ((), ("value",))


class DeadLetterNotFoundError(GradwatchError, ValueError):
    """A record on the topic of dead letters that says nothing of where it came from."""


class NotRequeueableError(ValueError):
    """A dead letter that can't be published as it came."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: `record` as it came, at its own topic, partition and offset; where the letter is; and why.

    `left_out` names parts of the record (`PARTS`) that did not fit, `requeued` says how often it was sent back.
    """

    record: Record
    partition: int
    offset: int
    timestamp_ms: int
    stream_id: str
    error: str
    cause: str
    message: str
    stage: str
    left_out: tuple[str, ...]
    requeued: int

    @property
    def place(self) -> str:
        """`PARTITION:OFFSET` of the letter on the topic of dead letters."""
        return f"{self.partition}:{self.offset}"


class DeadLetters:
    """Puts records aside that could not be processed: bytes and headers as they came, headers `dlq_…` say why."""

    def __init__(self, producer: BoundedProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics

    def publish(self, record: Record, error: BaseException, stage: str) -> Delivery:
        """Sends `record` to the dead letters; `stage` names the step that refused it.

        Where record and context are too large for a record, the value is left out, and if that is not enough, headers
        and key too: their place in the frames topic must do. Raises `BrokerUnavailableError`.
        """
        for cut in CUTS:
            kept = _without(record, cut)
            if kept.size + CONTEXT_BYTES <= MAX_RECORD_BYTES:
                with suppress(RecordTooLargeError):  # the client may be configured to a smaller size
                    return self._send(kept, _context(record, error, stage, cut))
        return self._send(_without(record, PARTS), _context(record, error, stage, PARTS))

    def _send(self, record: Record, context: Headers) -> Delivery:
        # The client takes no null header, and no record without key and value; the context says which were null.
        headers = [(name, value or b"") for name, value in record.headers] + context
        value = b"" if record.key is None and record.value is None else record.value
        delivery = self._producer.send(self._topics.dlq, record.key, value, headers)
        said = {name.removeprefix(PREFIX): value.decode() for name, value in context if value is not None}
        DEAD_LETTERS.labels(said["stream_id"], said["stage"], said["cause"]).inc()
        return delivery


def read_letter(record: Record) -> Letter:
    """The dead letter in a record of the topic of dead letters. Raises `DeadLetterNotFoundError`."""
    names = [name for name, _ in record.headers]
    if FIRST not in names:
        raise DeadLetterNotFoundError(
            f"expected header {FIRST} at {record.topic}[{record.partition}] offset {record.offset}"
        )
    begin = len(names) - 1 - names[::-1].index(FIRST)
    context = {
        name.removeprefix(PREFIX): (value or b"").decode(errors="replace") for name, value in record.headers[begin:]
    }
    left_out = tuple(part for part in PARTS if context.get(part) == TOO_LARGE)
    original = Record(
        context["topic"],
        _number(context, "partition"),
        _number(context, "offset"),
        _number(context, "timestamp_ms"),
        record.key,
        None if context.get("value") == NULL else record.value,
        _with_nulls(record.headers[:begin], context.get("null_headers", "")),
    )
    said = {name: context.get(name, "") for name in ("stream_id", "error", "cause", "message", "stage")}
    return Letter(
        original,
        record.partition,
        record.offset,
        record.timestamp_ms,
        left_out=left_out,
        requeued=_requeued(original),
        **said,
    )


def requeue(letter: Letter, topics: Topics, producer: BoundedProducer) -> Delivery:
    """Publishes the record as it came, to the partition it came from; header `dlq_requeued` counts how often.

    Its timestamp is new, because retention goes by it. Null headers become empty, which the reader takes alike.
    Raises `NotRequeueableError`, `RecordTooLargeError`, `BrokerUnavailableError`.
    """
    record = letter.record
    if letter.left_out:
        raise NotRequeueableError(
            f"{letter.place}: {', '.join(letter.left_out)} left out for size; see {record.topic}"
            f"[{record.partition}] offset {record.offset} as long as that keeps it"
        )
    if record.topic != topics.frames:
        raise NotRequeueableError(
            f"{letter.place}: expected a record of {topics.frames}, got one of {record.topic[:80]!r}"
        )
    if record.key is None and record.value is None:
        raise NotRequeueableError(f"{letter.place}: there is neither key nor value to publish")
    headers = [(name, value or b"") for name, value in record.headers if name != REQUEUED]
    headers.append((REQUEUED, str(letter.requeued + 1).encode()))
    return producer.send(record.topic, record.key, record.value, headers, partition=record.partition)


def _without(record: Record, parts: tuple[str, ...]) -> Record:
    return replace(
        record,
        value=b"" if "value" in parts else record.value,
        headers=() if "headers" in parts else record.headers,
        key=None if "key" in parts else record.key,
    )


def _context(record: Record, error: BaseException, stage: str, left_out: tuple[str, ...]) -> Headers:
    facts: dict[str, object] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "stream_id": rejected_stamp(record).identity.stream_id,
        "error": type(error).__name__,
        "cause": getattr(error, "cause", ""),
        "message": str(error)[:500],
        "stage": stage,
    }
    if record.value is None:
        facts["value"] = NULL
    nulls = [str(i) for i, (_, value) in enumerate(record.headers) if value is None]
    if nulls and "headers" not in left_out:
        facts["null_headers"] = ",".join(nulls)[:1000]
    facts |= dict.fromkeys(left_out, TOO_LARGE)
    return [(PREFIX + name, str(fact).encode(errors="replace")) for name, fact in facts.items()]


def _with_nulls(headers: tuple[tuple[str, bytes | None], ...], places: str) -> tuple[tuple[str, bytes | None], ...]:
    nulls = set(places.split(","))
    return tuple((name, None if str(i) in nulls else value) for i, (name, value) in enumerate(headers))


def _number(context: Mapping[str, str], name: str) -> int:
    text = context.get(name, "")
    try:
        return int(text[:20])
    except ValueError:
        raise DeadLetterNotFoundError(f"header {PREFIX}{name}: expected a number, got {text[:80]!r}") from None


def _requeued(record: Record) -> int:
    said = [value or b"" for name, value in record.headers if name == REQUEUED]
    # Any producer may write this header; what is no small number counts as none.
    return int(said[-1]) if said and said[-1].isdigit() and len(said[-1]) < 10 else 0
