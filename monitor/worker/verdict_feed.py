"""Reads reviewers' corrections from their topic for as long as a worker runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import Correction
from gradwatch.streams.wire.outputs import decode_correction
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record

log = structlog.get_logger()

MAX_CORRECTIONS = 1000  # of one stream; the newest are kept, since every frame is checked against all of them
POLL_S = 0.5
RETRY_S = 5.0


class CorrectionBook:
    """The current corrections of all streams, by the compacted topic: the last record of a key counts.

    One thread calls `update`; any thread may call `of`.
    """

    def __init__(self) -> None:
        self._by_stream: dict[str, tuple[Correction, ...]] = {}
        self.refused = 0  # records that contain no correction, or one of another key

    def update(self, record: Record) -> None:
        """Applies one record of the topic, key `<stream>/<correction>`; one without a value withdraws a correction.

        A record that can't be decoded, or contains another stream or id than its key, is counted and ignored.
        """
        stream_id, _, correction_id = (record.key or b"").decode("utf-8", "replace").partition("/")
        corrections = tuple(c for c in self.of(stream_id) if c.verdict_id != correction_id)
        if record.value is not None:
            correction: Correction | None
            try:
                correction = decode_correction(record.value)
            except BadRecordError:
                correction = None
            if correction is None or (correction.stream_id, correction.verdict_id) != (stream_id, correction_id):
                self.refused += 1
                return
            corrections = (*corrections, correction)[-MAX_CORRECTIONS:]
        if corrections:
            self._by_stream[stream_id] = corrections
        else:
            self._by_stream.pop(stream_id, None)

    def of(self, stream_id: str) -> tuple[Correction, ...]:
        """The corrections of a stream, in the order in which they arrived."""
        return self._by_stream.get(stream_id, ())


class CorrectionFeed(threading.Thread):
    """Reads all corrections from the start of the topic, then follows it; `book` holds the current ones.

    open_reader: opens the topic from its start. While the broker is unavailable the thread tries again, and the
    corrections read so far stay in force.
    """

    def __init__(self, open_reader: Callable[[], TopicReader]) -> None:
        super().__init__(name="corrections", daemon=True)
        self.book = CorrectionBook()
        self._open_reader = open_reader
        self._ended = threading.Event()

    def run(self) -> None:
        """Follows the topic until `stop`."""
        while not self._ended.is_set():
            try:
                self._follow()
            except (BrokerUnavailableError, BrokerRefusedError, ValueError) as error:
                log.warning("could not read the corrections, trying again", error=str(error), seconds=RETRY_S)
                self._ended.wait(RETRY_S)

    def stop(self) -> None:
        """Tells the thread to end; returns at once."""
        self._ended.set()

    def _follow(self) -> None:
        with self._open_reader() as reader:
            while not self._ended.is_set():
                for record in reader.poll(POLL_S):
                    refused = self.book.refused
                    self.book.update(record)
                    if self.book.refused > refused:
                        log.warning("correction refused", partition=record.partition, offset=record.offset)
