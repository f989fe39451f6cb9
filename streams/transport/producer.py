"""A producer that never holds more than its budget.

kafka-python's own producer has no bound (300 MB queued in 0.7 s were measured against a dead broker), so bytes are
counted here from `send` until the broker has answered or the client has given up.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from kafka import KafkaProducer
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from ..observability.metrics import PRODUCER_PENDING
from ..wire.records import Headers
from ..wire.topics import MAX_RECORD_BYTES
from .client.refusals import go_on_after_refusals
from .client.settings import NO_SETTINGS, Settings
from .connection import BrokerUnavailableError, connect
from .partitions import METADATA_AGE_MS

RECORD_OVERHEAD_BYTES = 512
SETTINGS: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 5,
    "batch_size": 256 * 1024,  # with the client's 16 KiB each overlay was a request of its own: 40 % more work
    "max_request_size": MAX_RECORD_BYTES,
    "max_block_ms": 1,  # the client would block its caller while a topic is missing; `send` waits itself
    "reconnect_backoff_max_ms": 2_000,
    "metadata_max_age_ms": METADATA_AGE_MS,
    # A topic that the broker creates by itself has the wrong partitions; `ensure_topics` creates ours.
    "allow_auto_create_topics": False,
}
# An idempotent client has one sequence for all topics, which an error of one topic breaks for the others.
INDEPENDENT = {"enable_idempotence": False, "max_in_flight_requests_per_connection": 1}  # one: keeps the order
POLL_S = 0.02
LEARN_S = 2.0
FRESH_S = 15.0  # metadata younger than this comes from a broker that answers


class RecordTooLargeError(ValueError):
    """A record above the size that producer, topic and consumer agree on (8 MiB unless configured)."""

    cause = "too_large"


class TopicUnavailableError(BrokerUnavailableError):
    """The broker answers, and does not take records for this topic; the message has the remedy."""

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause  # topic_missing or not_allowed


class Sender(Protocol):
    """Sends records: `BoundedProducer`, and `Outbox`, which loses none."""

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> Delivery:
        """Sends as soon as there is room. Raises `RecordTooLargeError`, `BrokerUnavailableError`."""

    def try_send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> Delivery | None:
        """Sends if there is room now, else returns None. Raises as `send`."""


class Delivery:
    """The outcome of sending one record; set on the client's thread."""

    def __init__(self) -> None:
        self.exception: BaseException | None = None
        self.offset = -1  # known once delivered
        self._finished = threading.Event()
        self._callbacks: list[Callable[[Delivery], None]] = []
        self._lock = threading.Lock()

    def done(self) -> bool:
        """Whether the broker has acknowledged the record or the client has given up (then see `exception`)."""
        return self._finished.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until done; returns whether it is."""
        return self._finished.wait(timeout_s)

    def add_done_callback(self, callback: Callable[[Delivery], None]) -> None:
        """Calls `callback(self)` once done: at once if it is, else in the client's thread, so it must be quick."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        callback(self)

    def finish(self, offset: int = -1, exception: BaseException | None = None) -> None:
        """Sets the outcome; for the producer and for tests."""
        with self._lock:
            self.offset, self.exception = offset, exception
            self._finished.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)


class BoundedProducer:
    """Holds at most `max_bytes` of records that the broker has not acknowledged, at most `share` of it for one topic.

    `client_settings` go to `kafka.KafkaProducer` as they are (TLS, SASL, timeouts, …) and win over ours. It is
    idempotent, so frames are not repeated; with `independent` it is not, and no topic's trouble is another one's.
    `timeout_s` bounds every wait of `send`. Raises `BrokerUnavailableError` if no broker answers within
    `bootstrap_timeout_ms` (8 s unless set), `BrokerRefusedError` if one refuses.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        client_settings: Settings = NO_SETTINGS,
        max_bytes: int = 64 * 1024 * 1024,
        timeout_s: float = 5.0,
        *,
        independent: bool = False,
        share: float = 1.0,
    ) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.pending_bytes = 0  # of records (with a small overhead each) neither acknowledged nor given up
        self._topic_bytes: Counter[str] = Counter()
        self._max_topic_bytes = share * max_bytes
        self._room = threading.Condition()
        settings = SETTINGS | dict(client_settings)
        if independent or str(settings["acks"]) not in ("all", "-1"):
            settings |= INDEPENDENT
        self._client = connect(KafkaProducer, bootstrap_servers, settings)
        go_on_after_refusals(self._client)

    def learn(self, topic: str, timeout_s: float = LEARN_S) -> bool:
        """Looks up a topic, so that its first record need not wait; returns whether it is there."""
        deadline_s = time.monotonic() + timeout_s
        while not self._is_known(topic, None):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(POLL_S)
        return True

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Delivery:
        """Sends as soon as there is room. Raises `RecordTooLargeError`, `BrokerUnavailableError` after `timeout_s`."""
        deadline_s = time.monotonic() + self.timeout_s
        size = self._size(topic, key, value, headers)
        while not self._is_known(topic, partition):
            if time.monotonic() > deadline_s:
                raise self._unavailable(topic, partition)
            time.sleep(POLL_S)
        if not self._reserve(topic, size, deadline_s - time.monotonic()):
            raise BrokerUnavailableError(
                f"expected room for {size} bytes within {self.timeout_s} s, got {self.pending_bytes} of "
                f"{self.max_bytes} bytes still unacknowledged by {self.bootstrap_servers}"
            )
        return self._send(size, topic, value, key, headers or [], partition, timestamp_ms)

    def try_send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Delivery | None:
        """Sends if there is room now, else returns None; never waits.

        Raises `RecordTooLargeError`, and `BrokerUnavailableError` while the client knows no such topic or partition.
        """
        size = self._size(topic, key, value, headers)
        if not self._is_known(topic, partition):
            raise self._unavailable(topic, partition)
        if not self._reserve(topic, size, 0.0):
            return None
        return self._send(size, topic, value, key, headers or [], partition, timestamp_ms)

    def partitions(self, topic: str) -> list[int]:
        """The partitions of a topic. Raises `BrokerUnavailableError` where it does not exist or nobody answers."""
        try:
            return sorted(self._client.partitions_for(topic))
        except KafkaError as error:
            raise _translated(error, topic, 0, self.bootstrap_servers) from error

    def flush(self, timeout_s: float | None = None) -> bool:
        """Waits until nothing is pending; returns whether that happened within `timeout_s`."""
        with self._room:
            return self._room.wait_for(lambda: self.pending_bytes == 0, timeout_s)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Flushes for at most `timeout_s`, then gives up what is left; returns whether all was delivered in time."""
        deadline = time.monotonic() + timeout_s
        flushed = self.flush(timeout_s)
        try:
            self._client.close(timeout=max(0.1, deadline - time.monotonic()) if flushed else 0.0)
        except KafkaTimeoutError:
            # kafka-python 3.0.12 raises before it stops its thread, which would go on retrying.
            self._client._sender.force_close()
        return flushed

    def __enter__(self) -> BoundedProducer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _reserve(self, topic: str, size: int, timeout_s: float) -> bool:
        """Reserves `size` bytes of the budget; returns whether they became free in time."""

        def is_free() -> bool:
            of_topic = self._topic_bytes[topic]
            within_share = of_topic == 0 or of_topic + size <= self._max_topic_bytes
            return within_share and self.pending_bytes + size <= self.max_bytes

        with self._room:
            if not self._room.wait_for(is_free, max(0.0, timeout_s)):
                return False
            self.pending_bytes += size
            self._topic_bytes[topic] += size
        PRODUCER_PENDING.inc(size)
        return True

    def _size(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None) -> int:
        size = size_in_memory(key, value, headers)
        if size > self.max_bytes:
            raise RecordTooLargeError(
                f"record for {topic}: expected at most {self.max_bytes} bytes (budget), got {size}"
            )
        return size

    def _is_known(self, topic: str, partition: int | None) -> bool:
        """Whether the client knows where to send records; if not, it asks the broker, and does not wait for it."""
        cluster = self._client._metadata
        known = cluster.partitions_for_topic(topic)
        if known is not None and (partition is None or partition in known):
            return True
        self._client._sender.add_topic(topic)
        cluster.request_update()
        return False

    def _unavailable(self, topic: str, partition: int | None) -> BrokerUnavailableError:
        cluster = self._client._metadata
        place = topic if partition is None else f"{topic}[{partition}]"
        if topic in cluster.unauthorized_topics:
            return _not_allowed(topic, self.bootstrap_servers)
        if time.monotonic() * 1000 - cluster._last_successful_refresh_ms < FRESH_S * 1000:
            return TopicUnavailableError(
                f"{self.bootstrap_servers} has no topic {place}: create it with `gradwatch topics --create`",
                "topic_missing",
            )
        return BrokerUnavailableError(f"{self.bootstrap_servers} did not answer, or topic {place} does not exist")

    def _send(self, size: int, topic: str, *rest: Any) -> Delivery:
        delivery = Delivery()

        def on_success(metadata: Any) -> None:
            self._release(topic, size)
            delivery.finish(offset=metadata.offset)

        def on_error(error: BaseException) -> None:
            self._release(topic, size)
            delivery.finish(exception=_translated(error, topic, size, self.bootstrap_servers))

        try:
            future = self._client.send(topic, *rest)
        except Exception as error:
            self._release(topic, size)
            if isinstance(error, KafkaError):
                raise _translated(error, topic, size, self.bootstrap_servers) from error
            if not self._is_known(topic, rest[-2]):  # deleted in this moment
                raise self._unavailable(topic, rest[-2]) from error
            raise
        future.add_callback(on_success)
        future.add_errback(on_error)
        return delivery

    def _release(self, topic: str, size: int) -> None:
        with self._room:
            self.pending_bytes -= size
            self._topic_bytes[topic] -= size
            self._room.notify_all()
        PRODUCER_PENDING.dec(size)


def size_in_memory(key: bytes | None, value: bytes | None, headers: Headers | None) -> int:
    """Bytes that a record takes until it is acknowledged: its own, and what the client keeps beside them."""
    size = len(key or b"") + len(value or b"") + RECORD_OVERHEAD_BYTES
    return size + sum(len(name) + len(content) for name, content in headers or ())


def cause_of(error: BaseException) -> str:
    """The cause of a failed delivery, as metrics count it."""
    return str(getattr(error, "cause", BrokerUnavailableError.cause))


def _translated(error: BaseException, topic: str, size: int, servers: str) -> Exception:
    """The client's error as an error of this package, so that callers don't depend on the client."""
    if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        return RecordTooLargeError(
            f"record for {topic}: {size} bytes are more than its max.message.bytes or broker.client.max_request_size "
            f"allow; `gradwatch topics --mend` raises the topic's: {error}"
        )
    if isinstance(error, AuthorizationError):
        return _not_allowed(topic, servers)
    if isinstance(error, KafkaTimeoutError):
        return BrokerUnavailableError(f"{servers} did not answer, or topic {topic} does not exist: {error}")
    return BrokerUnavailableError(f"{servers} did not take a record for topic {topic}: {type(error).__name__} {error}")


def _not_allowed(topic: str, servers: str) -> TopicUnavailableError:
    message = f"{servers} does not allow writing to topic {topic}: grant Write and Describe on it to this user"
    return TopicUnavailableError(message, "not_allowed")
