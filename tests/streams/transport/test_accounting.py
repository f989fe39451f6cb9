"""A short form of `tests/faults/test_accounting.py`, which also kills: what is published is reported or counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gradwatch.streams.transport.admin import ensure_topics

from ...brokers import unused_names
from ...faults.audit import (
    Audit,
    add_partitions,
    assert_accounts_balance,
    delete_below,
    end_of,
    make_anew,
    put_poison,
    put_run,
    reported,
)
from ...stub_worker import WorkerProcess, write_configuration
from ...waiting import wait_until

pytestmark = pytest.mark.service


def test_published_is_reported_or_counted(kafka: str, tmp_path: Path) -> None:
    names = unused_names()
    ensure_topics(kafka, names, 2)
    config = write_configuration(tmp_path, kafka, names, session_timeout_s=6.0)
    expected: Counter[str] = Counter()

    def wait_for_reports(audit: Audit) -> None:
        audit.catch_up()
        wait_until(lambda: len(audit.published - reported(kafka, names).keys()) <= expected["retention"])

    with Audit(kafka, names) as audit:
        with WorkerProcess(config) as worker:
            put_run(kafka, names, "holes", [0, 1, 4, 5], 0)
            expected["seq_gap"] += 2
            put_poison(kafka, names, 3, 1)
            put_run(kafka, names, "ahead", list(range(10)), 1, ahead_s=1800.0)
            wait_for_reports(audit)
            assert worker.stop() == 0
        read_to = end_of(kafka, names, 0)
        put_run(kafka, names, "holes", list(range(6, 16)), 0)
        audit.catch_up()
        delete_below(kafka, names, 0, read_to + 8)
        expected["retention"] += 8
        with WorkerProcess(config) as worker:
            wait_for_reports(audit)
            add_partitions(kafka, names, 3)
            put_run(kafka, names, "late", list(range(5)), 2)
            wait_for_reports(audit)
            make_anew(kafka, names, 3)
            put_run(kafka, names, "ahead", list(range(10)), 1, run="again")
            wait_for_reports(audit)
            assert worker.stop() == 0
    assert_accounts_balance(kafka, names, audit.published, expected)
