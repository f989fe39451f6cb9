"""Lets an idempotent producer go on after the broker has refused a batch."""

from __future__ import annotations

from typing import Any

from kafka import errors

OF_A_BATCH = {
    errors.InvalidRecordError,
    errors.InvalidTimestampError,
    errors.InvalidTopicError,
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.TopicAuthorizationFailedError,
}


def go_on_after_refusals(client: Any) -> None:
    """Makes a `KafkaProducer` begin a new sequence after such an error.

    kafka-python takes it for fatal: one frame that is too large for its topic would be the last that a source sends.
    """
    if (transactions := client._transaction_manager) is not None:
        transactions._NEEDS_EPOCH_BUMP_ERRORS |= OF_A_BATCH
