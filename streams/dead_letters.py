"""Dead letters: records that could not be processed, published with the reason, read again, and requeued.

The context is in headers `dlq_…` after the record's own; `dlq_topic` is the first of them. A record may itself carry
such headers, so only those from the last `dlq_topic` on are trusted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from gradwatch import GradwatchError

from .observability.logs import limit_logs
from .observability.metrics import DEAD_LETTERS, OUTPUTS_LOST
from .transport.connection import BrokerUnavailableError
from .transport.producer import BoundedProducer, Delivery, RecordTooLargeError, cause_of
from .wire.frames import rejected_stamp
from .wire.records import Headers, Record
from .wire.topics import MAX_RECORD_BYTES, Topics

log = structlog.get_logger()
limit_logs([__name__])  # a topic's trouble concerns every letter

PREFIX = "dlq_"
FIRST = PREFIX + "topic"  # of the context's headers
REQUEUED = PREFIX + "requeued"
CONTEXT_BYTES = 4096  # reserved for the context within the record size of producer, topic and consumer
TOO_LARGE = "left out, too large"
NULL = "null"
PARTS: dict[str, Any] = {"value": b"", "headers": (), "key": None}  # of a record, and what is sent instead of each
# Parts to leave out, tried in order before all are left out.
CUTS: tuple[tuple[str, ...], ...] = ((), ("value",))


class DeadLetterNotFoundError(GradwatchError, ValueError):
    """A record on the topic of dead letters without the headers that tell its origin."""


class NotRequeueableError(ValueError):
    """A dead letter whose record can't be published again unchanged."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the original `record` with its own topic, partition and offset, and the letter's place and reason.

    `left_out` names the parts of the record (`PARTS`) that did not fit, `requeued` counts earlier requeues.
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
    """Publishes records that could not be processed: bytes and headers unchanged, the reason in headers `dlq_…`.

    Best effort: one that its topic does not take is lost, logged and counted; its frame is reported in any case.
    """

    def __init__(self, producer: BoundedProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics
        self._is_stuck = False  # then no letter waits for room

    def publish(self, record: Record, error: BaseException, stage: str) -> Delivery:
        """Sends `record` to the dead letters; `stage` is the step that refused it.

        The delivery is done once the letter is acknowledged or lost, and never fails. If record and context together
        are too large, the value is left out, and if still too large, headers and key too: then the context only tells
        where the record is.
        """
        settled = Delivery()
        try:
            self._cut_and_send(record, error, stage).add_done_callback(lambda done: self._settle(settled, record, done))
        except (BrokerUnavailableError, RecordTooLargeError) as failure:
            lost = Delivery()
            lost.finish(exception=failure)
            self._settle(settled, record, lost)
        return settled

    def _settle(self, settled: Delivery, record: Record, done: Delivery) -> None:
        self._is_stuck = done.exception is not None
        if done.exception is not None:
            stream_id = rejected_stamp(record).identity.stream_id
            OUTPUTS_LOST.labels(stream_id, "dlq", cause_of(done.exception)).inc()
            place = f"{record.topic}[{record.partition}] offset {record.offset}"
            log.warning(
                "a dead letter is lost, its record remains while it is retained", at=place, why=str(done.exception)
            )
        settled.finish(done.offset)

    def _cut_and_send(self, record: Record, error: BaseException, stage: str) -> Delivery:
        for cut in CUTS:
            kept = _without(record, cut)
            if kept.size + CONTEXT_BYTES <= MAX_RECORD_BYTES:
                with suppress(RecordTooLargeError):  # the client may be configured to a smaller limit
                    return self._send(kept, _context(record, error, stage, cut))
        return self._send(_without(record, PARTS), _context(record, error, stage, PARTS))

    def _send(self, record: Record, context: Headers) -> Delivery:
        # The client refuses null headers, and a record without key and value; the context tells which were null.
        headers = [(name, value or b"") for name, value in record.headers] + context
        value = b"" if record.key is None and record.value is None else record.value
        delivery = self._producer.try_send(self._topics.dlq, record.key, value, headers)
        if delivery is None and not self._is_stuck:
            delivery = self._producer.send(self._topics.dlq, record.key, value, headers)
        if delivery is None:
            raise BrokerUnavailableError(f"topic {self._topics.dlq} takes no records")
        fields = {name.removeprefix(PREFIX): value.decode() for name, value in context if value is not None}
        DEAD_LETTERS.labels(fields["stream_id"], fields["stage"], fields["cause"]).inc()
        return delivery


def read_letter(record: Record) -> Letter:
    """Reads a record of the topic of dead letters. Raises `DeadLetterNotFoundError`."""
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
    reason = {name: context.get(name, "") for name in ("stream_id", "error", "cause", "message", "stage")}
    return Letter(
        original,
        record.partition,
        record.offset,
        record.timestamp_ms,
        left_out=left_out,
        requeued=_requeued(original),
        **reason,
    )


def requeue(letter: Letter, topics: Topics, producer: BoundedProducer) -> Delivery:
    """Publishes the record again, unchanged, to its partition; header `dlq_requeued` counts how often.

    Its timestamp is new, because retention follows it. Null headers become empty, which readers treat alike.
    Raises `NotRequeueableError`, `RecordTooLargeError`, `BrokerUnavailableError`.
    """
    record = letter.record
    if letter.left_out:
        raise NotRequeueableError(
            f"{letter.place}: {', '.join(letter.left_out)} left out for size; see {record.topic}"
            f"[{record.partition}] offset {record.offset} while it is retained"
        )
    if record.topic != topics.frames:
        raise NotRequeueableError(
            f"{letter.place}: expected a record of {topics.frames}, got one of {record.topic[:80]!r}"
        )
    if record.key is None and record.value is None:
        raise NotRequeueableError(f"{letter.place}: the record has neither key nor value to publish")
    headers = [(name, value or b"") for name, value in record.headers if name != REQUEUED]
    headers.append((REQUEUED, str(letter.requeued + 1).encode()))
    return producer.send(record.topic, record.key, record.value, headers, partition=record.partition)


def _without(record: Record, parts: Iterable[str]) -> Record:
    return replace(record, **{part: PARTS[part] for part in parts})


def _context(record: Record, error: BaseException, stage: str, left_out: Collection[str]) -> Headers:
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
    counts = [value or b"" for name, value in record.headers if name == REQUEUED]
    # Any producer may write this header; anything but a small number counts as 0.
    return int(counts[-1]) if counts and counts[-1].isdigit() and len(counts[-1]) < 10 else 0
