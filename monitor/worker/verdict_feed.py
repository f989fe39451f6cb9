"""Brings reviewers' verdicts from their topic to the judge, for as long as a worker runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError
from gradwatch.streams.transport.reader import TopicReader

from ..judging.corrections import VerdictBook

log = structlog.get_logger()

POLL_S = 0.5
RETRY_S = 5.0


class VerdictFeed(threading.Thread):
    """Reads all verdicts there are, and goes on with those that come; `book` is what they say.

    open_reader: opens the topic from its start. A broker that is away is tried again: meanwhile what is known holds.
    """

    def __init__(self, open_reader: Callable[[], TopicReader]) -> None:
        super().__init__(name="verdicts", daemon=True)
        self.book = VerdictBook()
        self._open_reader = open_reader
        self._ended = threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        while not self._ended.is_set():
            try:
                self._follow()
            except (BrokerUnavailableError, BrokerRefusedError, ValueError) as error:
                log.warning("verdicts can't be read, tried again", error=str(error), seconds=RETRY_S)
                self._ended.wait(RETRY_S)

    def stop(self) -> None:
        """Asks the thread to end."""
        self._ended.set()

    def _follow(self) -> None:
        with self._open_reader() as reader:
            while not self._ended.is_set():
                for record in reader.poll(POLL_S):
                    refused = self.book.refused
                    self.book.take(record)
                    if self.book.refused > refused:
                        log.warning("verdict refused", partition=record.partition, offset=record.offset)
