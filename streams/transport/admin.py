"""Creating topics as the contract needs them, and saying what is wrong with those that exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaTimeoutError, TopicAlreadyExistsError, for_code

from ..topics import DEFAULT_PARTITIONS, Topics, TopicSettings
from .producer import BrokerUnavailable, Settings

UNKNOWN = "unknown"
AT_LEAST = frozenset({"retention.ms", "max.message.bytes"})  # more than we ask for is fine


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """One setting of one topic that is not as the contract needs it, and the command that mends it.

    `got` is `unknown` where the broker does not tell its settings.
    """

    topic: str
    setting: str
    expected: str
    got: str
    remedy: str

    def __str__(self) -> str:
        return f"topic {self.topic}: expected {self.setting} {self.expected}, got {self.got}; {self.remedy}"


def ensure_topics(
    bootstrap_servers: str,
    topics: Topics,
    partitions: int = DEFAULT_PARTITIONS,
    client_settings: Settings = {},  # noqa: B006 (only read)
    replication_factor: int = -1,
) -> list[str]:
    """Creates the topics that don't exist and returns their names; leaves those that exist as they are.

    `replication_factor` -1 is the broker's default. Raises `BrokerUnavailable`, or RuntimeError with the broker's
    words where it refuses.
    """
    with _admin(bootstrap_servers, client_settings) as admin:
        present = set(admin.list_topics())
        missing = {n: s for n, s in topics.settings(partitions).items() if n not in present}
        if not missing:
            return []
        wanted = {name: _creation(settings, replication_factor) for name, settings in missing.items()}
        answer = admin.create_topics(wanted, raise_errors=False)
        for topic in answer["topics"]:
            error = for_code(topic["error_code"])
            if topic["error_code"] and error is not TopicAlreadyExistsError:
                raise RuntimeError(f"could not create topic {topic['name']}: {error.__name__} {topic['error_message']}")
        admin.wait_for_topics(list(missing), timeout_ms=15_000)
    return sorted(missing)


def check_topics(
    bootstrap_servers: str,
    topics: Topics,
    partitions: int | None = None,
    client_settings: Settings = {},  # noqa: B006 (only read)
) -> list[TopicProblem]:
    """What is missing or different; empty when all is well. Partition counts: those of state and verdicts must be
    the frames topic's (or `partitions` where given), those of the other topics are free.
    """
    with _admin(bootstrap_servers, client_settings) as admin:
        present = set(admin.list_topics())
        wanted = topics.settings(partitions or DEFAULT_PARTITIONS)
        names = [name for name in wanted if name in present]
        counts = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(names)} if names else {}
        configs = _configs(admin, names)
    wanted = topics.settings(partitions or counts.get(topics.frames, DEFAULT_PARTITIONS))
    problems = [_missing(bootstrap_servers, name, wanted[name]) for name in wanted if name not in present]
    for name in names:
        equal = name in (topics.frames, topics.state, topics.verdicts)
        if equal and counts[name] != wanted[name].partitions:
            problems.append(_partitions(name, wanted[name].partitions, counts[name]))
        for setting, expected in wanted[name].configs.items():
            got = configs.get(name, {}).get(setting, UNKNOWN)
            if not _good(setting, expected, got):
                problems.append(_setting(bootstrap_servers, name, setting, expected, got))
    return problems


def delete_topics(
    bootstrap_servers: str,
    names: Iterable[str],
    client_settings: Settings = {},  # noqa: B006 (only read)
) -> None:
    """Deletes topics; names that don't exist are passed over. The embedded broker frees its memory only so."""
    with _admin(bootstrap_servers, client_settings) as admin:
        present = sorted(set(names) & set(admin.list_topics()))
        if present:
            admin.delete_topics(present)


def _admin(bootstrap_servers: str, client_settings: Settings) -> Any:
    settings = {"bootstrap_timeout_ms": 10_000} | dict(client_settings)
    try:
        return KafkaAdminClient(bootstrap_servers=bootstrap_servers, **settings)
    except KafkaTimeoutError as error:
        raise BrokerUnavailable(f"expected a Kafka broker at {bootstrap_servers}, got none: {error}") from error


def _creation(settings: TopicSettings, replication_factor: int) -> dict[str, Any]:
    return {
        "num_partitions": settings.partitions,
        "replication_factor": replication_factor,
        "configs": settings.configs,
    }


def _configs(admin: Any, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    described: Mapping[str, Any] = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {name: {key: str(value["value"]) for key, value in configs.items()} for name, configs in described.items()}


def _good(setting: str, expected: str, got: str) -> bool:
    if setting in AT_LEAST and got != UNKNOWN:
        return int(got) >= int(expected) or int(got) == -1  # -1: kept for ever
    return got == expected


def _missing(servers: str, name: str, settings: TopicSettings) -> TopicProblem:
    options = "".join(f" --config {key}={value}" for key, value in settings.configs.items())
    create = f"kafka-topics.sh --bootstrap-server {servers} --create --topic {name} --partitions {settings.partitions}"
    return TopicProblem(name, "topic", "to exist", "no topic of that name", f"create it: {create}{options}")


def _partitions(name: str, expected: int, got: int) -> TopicProblem:
    remedy = "make the topic anew: its partitions must be those of the frames topic, and raising them moves streams"
    return TopicProblem(name, "partitions", str(expected), str(got), remedy)


def _setting(servers: str, name: str, setting: str, expected: str, got: str) -> TopicProblem:
    remedy = (
        f"set it: kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {name} "
        f"--add-config {setting}={expected}"
    )
    return TopicProblem(name, setting, expected, got, remedy)
