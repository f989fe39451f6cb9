from __future__ import annotations

from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from gradwatch.streams.transport.client.settings import FIXED, KNOWN, check_client_settings, settings_for


@pytest.mark.parametrize(
    ("name", "value", "clients"),
    [
        ("isolation_level", "read_uncommitted", {KafkaConsumer}),
        ("max_poll_interval_ms", 600_000, {KafkaConsumer}),
        ("fetch_max_bytes", 1_000_000, {KafkaConsumer}),
        ("acks", 1, {KafkaProducer}),
        ("compression_type", "snappy", {KafkaProducer}),
        ("linger_ms", 50, {KafkaProducer}),
        ("ssl_ciphers", "ECDHE", {KafkaConsumer, KafkaProducer}),
        ("security_protocol", "SSL", {KafkaConsumer, KafkaProducer, KafkaAdminClient}),
    ],
)
def test_a_setting_goes_to_the_clients_that_know_it(name: str, value: object, clients: set[Any]) -> None:
    check_client_settings({name: value})
    given = {
        client for client in (KafkaConsumer, KafkaProducer, KafkaAdminClient) if settings_for(client, {name: value})
    }
    assert given == clients


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("ssl_pasword", "ssl_password"), ("compression", "compression_type"), ("ack", "acks")]
)
def test_a_setting_that_no_client_knows_names_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=rf"broker\.client\.{wrong}.*`{nearest}`") as raised:
        check_client_settings({wrong: "hunter2"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"enable_auto_commit": True}, "an offset is committed once"),
        ({"group_id": "mine"}, r"worker\.group_id"),
        ({"session_timeout_ms": 6000}, r"worker\.session_timeout_s"),
        ({"acks": 0}, "expected all or 1"),
        ({"acks": "0"}, "expected all or 1"),
        ({"value_serializer": "json"}, "Python object"),
        ({"isolation_level": "serializable"}, "read_committed or read_uncommitted"),
    ],
)
def test_what_the_delivery_of_reports_rests_on_is_refused_with_its_reason(settings: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_client_settings(settings)


def test_what_is_refused_is_a_setting_of_a_client() -> None:
    assert set(FIXED) <= KNOWN
