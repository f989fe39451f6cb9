from __future__ import annotations

import importlib
import os
import socket
import sys
from pathlib import Path

import pytest

from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.embedded import EmbeddedBroker, EmbeddedBrokerFullError, EmbeddedBrokerMissingError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.topics import Topics


def answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def test_it_serves_until_the_block_ends() -> None:
    with EmbeddedBroker() as broker:
        assert broker.bootstrap_servers == f"127.0.0.1:{broker.port}"
        assert answers("127.0.0.1", broker.port)
        assert broker.rss_bytes() > 1_000_000
    assert not answers("127.0.0.1", broker.port)
    assert broker.rss_bytes() == 0


def test_ctrl_c_in_a_terminal_does_not_end_it_before_its_clients() -> None:
    with EmbeddedBroker() as broker:
        assert broker._process is not None
        assert os.getsid(broker._process.pid) != os.getsid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127/8 on loopback")
def test_it_is_bound_to_loopback_alone() -> None:
    with EmbeddedBroker() as broker:
        assert not answers("127.0.0.2", broker.port)


def test_it_says_when_it_is_full_and_frees_memory_with_its_topics() -> None:
    topics = Topics("full.", "full.frames")
    with EmbeddedBroker() as broker:
        ensure_topics(broker.bootstrap_servers, topics, 1)
        broker.check_room()
        with BoundedProducer(broker.bootstrap_servers) as producer:
            for _ in range(15):
                producer.send(topics.frames, b"cam", bytes(4 * 1024 * 1024))
            assert producer.flush(10)
        full_bytes = broker.rss_bytes()
        broker.max_bytes = 50 * 1024 * 1024
        with pytest.raises(EmbeddedBrokerFullError, match="may use 50 MiB and uses"):
            broker.check_room()
        delete_topics(broker.bootstrap_servers, topics.settings())
        assert broker.rss_bytes() < full_bytes / 2


def test_a_broker_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "tansu"
    refusing.write_text("#!/bin/sh\necho no room in the inn; exit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("CALF_TANSU_BIN", str(refusing))
    with pytest.raises(RuntimeError, match=r"did not start on 127\.0\.0\.1:\d+; its log: no room in the inn"):
        EmbeddedBroker().__enter__()


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(EmbeddedBrokerMissingError, match=r"pip install 'gradwatch\[demo\]'"):
        EmbeddedBroker().__enter__()
