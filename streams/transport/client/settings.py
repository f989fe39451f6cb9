"""The settings of `broker.client`: each goes to those of kafka-python's clients that know it.

A few are refused, because gradwatch's delivery rests on the values that it sets itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

Settings = Mapping[str, Any]
NO_SETTINGS: Settings = MappingProxyType({})

CLIENTS = (KafkaConsumer, KafkaProducer, KafkaAdminClient)
KNOWN = frozenset[str]().union(*(client.DEFAULT_CONFIG for client in CLIENTS))

COMMITS = "an offset is committed once the outputs of its frame are delivered"
OBJECT = "it takes a Python object, which a configuration file can't hold"
FIXED = {
    "bootstrap_servers": "it is broker.bootstrap_servers",
    "group_id": "it is worker.group_id",
    "group_instance_id": "it is worker.instance_id",
    "session_timeout_ms": "it is worker.session_timeout_s",
    "enable_auto_commit": COMMITS,
    "auto_commit_interval_ms": COMMITS,
    "auto_offset_reset": "a new group begins with the oldest frame, so that no frame goes without a report",
    "partition_assignment_strategy": "all workers of a group must use the cooperative-sticky assignor",
    "allow_auto_create_topics": "the broker would give a topic the wrong settings; `gradwatch topics` creates them",
    "max_block_ms": "a thread that judges never waits for a topic",
    "transactional_id": "workers repeat outputs after a crash, and readers recognize them by their ids",
} | dict.fromkeys(
    (
        "default_offset_commit_callback",
        "kafka_client",
        "key_deserializer",
        "key_serializer",
        "metric_reporters",
        "partitioner",
        "sasl_oauth_token_provider",
        "selector",
        "socket_options",
        "ssl_context",
        "value_deserializer",
        "value_serializer",
    ),
    OBJECT,
)


def check_client_settings(settings: Settings) -> None:
    """Checks the settings of `broker.client`. Raises ValueError, without any value: one may be a password."""
    for name in settings:
        _check_known(name)
        if name in FIXED:
            raise ValueError(f"broker.client.{name}: gradwatch sets it itself: {FIXED[name]}")
    if str(settings.get("acks", "all")) not in ("all", "-1", "1"):
        raise ValueError(
            "broker.client.acks: expected all or 1, got another value: "
            "without an answer of the broker no report counts as delivered"
        )
    if str(settings.get("isolation_level", "read_committed")) not in ("read_committed", "read_uncommitted"):
        raise ValueError("broker.client.isolation_level: expected read_committed or read_uncommitted")


def settings_for(client: Any, settings: Settings) -> dict[str, Any]:
    """Those of the settings that `client` (a class) knows. Raises ValueError for one that none of the clients knows."""
    for name in settings:
        _check_known(name)
    return {name: value for name, value in settings.items() if name in client.DEFAULT_CONFIG}


def _check_known(name: str) -> None:
    if name not in KNOWN:
        nearest = difflib.get_close_matches(name, KNOWN - FIXED.keys(), n=1, cutoff=0.0)
        raise ValueError(
            f"broker.client.{name}: no client of kafka-python has this setting (did you mean `{nearest[0]}`?)"
        )
