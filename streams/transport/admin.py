"""Creating topics as the contract needs them, and saying what is wrong with those that exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from ..wire.topics import DEFAULT_PARTITIONS, Topics, TopicSettings
from .connection import Settings, connect

UNKNOWN = "unknown"
EXISTENCE, PARTITIONS = "topic", "partitions"  # settings in a `TopicProblem` beside those of the broker
AT_LEAST = frozenset({"retention.ms", "max.message.bytes"})  # more than we ask for is fine


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """One setting of one topic that is not as the contract needs it, and the command that mends it.

    `got` is `unknown` where the broker does not tell its settings; `mendable` says that `mend_topics` can set it.
    """

    topic: str
    setting: str
    expected: str
    got: str
    remedy: str
    mendable: bool = False

    @property
    def is_unknown(self) -> bool:
        """Whether the broker does not tell."""
        return self.got == UNKNOWN

    @property
    def is_fatal(self) -> bool:
        """Whether a worker can't do its work: a topic is missing, or a stream's state has no partition of its own."""
        return self.setting in (EXISTENCE, PARTITIONS)

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

    `partitions` is that of frames, state and verdicts; where the frames topic exists, its own counts instead.
    `replication_factor` -1 is the broker's default. Raises `BrokerUnavailableError`, or RuntimeError with the broker's
    words where it refuses.
    """
    with _admin(bootstrap_servers, client_settings) as admin:
        present = set(admin.list_topics())
        if topics.frames in present:
            partitions = len(admin.describe_topics([topics.frames])[0]["partitions"])
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
            more = counts[name] < wanted[name].partitions
            mendable = more and name != topics.frames  # its streams would move
            problems.append(_partitions(bootstrap_servers, name, wanted[name].partitions, counts[name], mendable))
        for setting, expected in wanted[name].configs.items():
            got = configs.get(name, {}).get(setting, UNKNOWN)
            if not _good(setting, expected, got):
                problems.append(_setting(bootstrap_servers, name, setting, expected, got))
    return problems


def mend_topics(
    bootstrap_servers: str,
    problems: Iterable[TopicProblem],
    client_settings: Settings = {},  # noqa: B006 (only read)
) -> list[TopicProblem]:
    """Sets what `check_topics` found wrong on topics that exist, and returns what it did.

    It raises the partition counts of state and verdicts, which are written by number, so no stream moves; it never
    lowers one, and never touches the frames topic's. Raises RuntimeError with the broker's words where it refuses.
    """
    mended = [problem for problem in problems if problem.mendable]
    settings: dict[str, dict[str, str]] = {}
    counts: dict[str, int] = {}
    for problem in mended:
        if problem.setting == PARTITIONS:
            counts[problem.topic] = int(problem.expected)
        else:
            settings.setdefault(problem.topic, {})[problem.setting] = problem.expected
    with _admin(bootstrap_servers, client_settings) as admin:
        try:
            if settings:
                resources = [ConfigResource(ConfigResourceType.TOPIC, name, c) for name, c in settings.items()]
                _check_altered(admin.alter_configs(resources))
            if counts:
                admin.create_partitions(counts)
        except KafkaError as error:
            raise RuntimeError(f"could not mend {', '.join([*settings, *counts])}: {error}") from error
    return mended


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
    return connect(KafkaAdminClient, bootstrap_servers, client_settings)


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


def _check_altered(answer: Mapping[str, Mapping[str, object]]) -> None:
    refused = [f"{name}: {what}" for told in answer.values() for name, what in told.items() if "Error" in str(what)]
    if refused:
        raise RuntimeError(f"could not set topics: {'; '.join(refused)}")


def _good(setting: str, expected: str, got: str) -> bool:
    if setting in AT_LEAST and got != UNKNOWN:
        return int(got) >= int(expected) or int(got) == -1  # -1: kept for ever
    return got == expected


def _missing(servers: str, name: str, settings: TopicSettings) -> TopicProblem:
    options = "".join(f" --config {key}={value}" for key, value in settings.configs.items())
    create = f"kafka-topics.sh --bootstrap-server {servers} --create --topic {name} --partitions {settings.partitions}"
    return TopicProblem(name, EXISTENCE, "to exist", "no topic of that name", f"create it: {create}{options}")


def _partitions(servers: str, name: str, expected: int, got: int, mendable: bool) -> TopicProblem:
    alter = f"kafka-topics.sh --bootstrap-server {servers} --alter --topic {name} --partitions {expected}"
    delete = f"kafka-topics.sh --bootstrap-server {servers} --delete --topic {name}"
    remedy = f"raise them: {alter}" if got < expected else f"partitions can't be lowered, make it anew: {delete}"
    return TopicProblem(name, PARTITIONS, str(expected), str(got), remedy, mendable)


def _setting(servers: str, name: str, setting: str, expected: str, got: str) -> TopicProblem:
    remedy = (
        f"set it: kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {name} "
        f"--add-config {setting}={expected}"
    )
    return TopicProblem(name, setting, expected, got, remedy, mendable=got != UNKNOWN)
