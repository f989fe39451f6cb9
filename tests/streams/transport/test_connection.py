from __future__ import annotations

import logging

from gradwatch.streams.transport.connection import _client_logs_off


def test_the_client_logs_again_once_the_last_thread_has_connected() -> None:
    logger = logging.getLogger("kafka")
    before = logger.level
    _client_logs_off.__enter__()
    _client_logs_off.__enter__()
    _client_logs_off.__exit__()
    assert logger.level == logging.CRITICAL
    _client_logs_off.__exit__()
    assert logger.level == before
