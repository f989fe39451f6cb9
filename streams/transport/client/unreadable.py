"""Names a batch of records that can't be read, so that a reader can pass over it.

A batch whose checksum is wrong or that can't be decompressed makes kafka-python raise, without saying where, and raise
again at each further poll: one damaged batch would end every reader of its topic.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import UnsupportedCodecError

log = logging.getLogger(__name__)

_unpack = Fetcher.PartitionRecords._unpack_records


class UnreadableBatchError(Exception):
    """The records of one batch, `first` to `last` offset at most, can't be read."""

    def __init__(self, partition: TopicPartition, first: int, last: int, cause: BaseException) -> None:
        super().__init__(
            f"the batch at {partition.topic}[{partition.partition}] from offset {first} to {last} can't be read: "
            f"{type(cause).__name__} {cause}"
        )
        self.partition, self.first, self.last = partition, first, last


def pass_over(client: Any, error: UnreadableBatchError) -> int:
    """Lets `client` (a consumer) go on behind the batch; returns the number of offsets passed over, and logs them."""
    position, end = client.position(error.partition), client.highwater(error.partition)
    # The batch may be damaged in the very field that says where it ends.
    behind = max(position + 1, min(error.last + 1, end if end is not None else error.last + 1))
    client.seek(error.partition, behind)
    log.error(
        "%s; passed over %d offsets. Either its producer has compressed it wrongly or a disk of the broker is damaged: "
        "check it with kafka-dump-log.sh --deep-iteration, and publish these records again",
        error,
        behind - position,
    )
    return int(behind - position)


def name_unreadable_batches() -> None:
    """Patches kafka-python so that its consumers raise `UnreadableBatchError`. Idempotent."""
    Fetcher.PartitionRecords._unpack_records = _named


class _Noting:
    """The batches of one answer, and the one that was begun last."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.batch: Any = None

    def next_batch(self) -> Any:
        self.batch = self._records.next_batch()
        return self.batch


def _named(answer: Any, partition: TopicPartition, records: Any, *deserializers: object) -> Iterator[Any]:
    noting = _Noting(records)
    try:
        yield from _unpack(answer, partition, noting, *deserializers)
    except UnsupportedCodecError:
        raise  # this installation's fault: passing over the records would lose them
    except Exception as error:
        first = answer.next_fetch_offset
        last = getattr(noting.batch, "last_offset", first)  # a batch of before Kafka 0.11 does not say it
        raise UnreadableBatchError(partition, first, max(first, last), error) from error
