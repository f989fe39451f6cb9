"""Creates topics with the settings that the wire format needs, and checks those that exist."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from gradwatch import GradwatchError

from ..wire.topics import DEFAULT_PARTITIONS, Topics, TopicSettings
from .client.settings import NO_SETTINGS, Settings
from .connection import connect

log = logging.getLogger(__name__)

UNKNOWN = "unknown"
EXISTENCE, PARTITIONS = "topic", "partitions"  # values of `TopicProblem.setting` beside the broker's settings
AT_LEAST = frozenset({"retention.ms", "max.message.bytes"})  # larger values are fine


class TopicRefusedError(GradwatchError, RuntimeError):
    """The broker refused to create or change a topic; the message contains its reason."""


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """One wrong setting of one topic, and the command that corrects it.

    `got` is `unknown` where the broker does not report its settings; `mendable`: `mend_topics` can set it.
    """

    topic: str
    setting: str
    expected: str
    got: str
    remedy: str
    mendable: bool = False

    @property
    def is_unknown(self) -> bool:
        """Whether the broker does not report the setting."""
        return self.got == UNKNOWN

    @property
    def is_fatal(self) -> bool:
        """Whether a worker can't run: a topic is missing, or a stream's state has no partition of its own."""
        return self.setting in (EXISTENCE, PARTITIONS)

    def __str__(self) -> str:
        return f"topic {self.topic}: expected {self.setting} {self.expected}, got {self.got}; {self.remedy}"


def ensure_topics(
    bootstrap_servers: str,
    topics: Topics,
    partitions: int = DEFAULT_PARTITIONS,
    client_settings: Settings = NO_SETTINGS,
    replication_factor: int = -1,
) -> list[str]:
    """Creates the topics that don't exist and returns their names; leaves the others as they are.

    `partitions` is that of frames, state and verdicts, unless the frames topic exists: then its own count is used.
    `replication_factor` -1 is the broker's default. Raises `BrokerUnavailableError`, `TopicRefusedError`.
    """
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        present = set(admin.list_topics())
        if topics.frames in present:
            partitions = len(admin.describe_topics([topics.frames])[0]["partitions"])
        missing = {n: s for n, s in topics.settings(partitions).items() if n not in present}
        if not missing:
            return []
        wanted = {
            name: {"num_partitions": one.partitions, "replication_factor": replication_factor, "configs": one.configs}
            for name, one in missing.items()
        }
        answer = admin.create_topics(wanted, raise_errors=False)
        for topic in answer["topics"]:
            error = for_code(topic["error_code"])
            if topic["error_code"] and error is not TopicAlreadyExistsError:
                message = f"could not create topic {topic['name']}: {error.__name__} {topic['error_message']}"
                raise TopicRefusedError(message)
        admin.wait_for_topics(list(missing), timeout_ms=15_000)
    return sorted(missing)


def check_topics(bootstrap_servers: str, topics: Topics, client_settings: Settings = NO_SETTINGS) -> list[TopicProblem]:
    """Lists what is missing or different; empty if nothing is.

    State and verdicts must have as many partitions as frames, other topics any number.
    """
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        present = set(admin.list_topics())
        names = [name for name in topics.settings() if name in present]
        counts = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(names)} if names else {}
        configs = _configs(admin, names)
    wanted = topics.settings(counts.get(topics.frames, DEFAULT_PARTITIONS))
    problems = [_missing(bootstrap_servers, name, wanted[name]) for name in wanted if name not in present]
    for name in names:
        equal = name in (topics.frames, topics.state, topics.verdicts)
        if equal and counts[name] != wanted[name].partitions:
            raisable = name != topics.frames  # more partitions of it would move its streams
            problems.append(_wrong_count(bootstrap_servers, name, wanted[name].partitions, counts[name], raisable))
        for setting, expected in wanted[name].configs.items():
            got = configs.get(name, {}).get(setting, UNKNOWN)
            if not _is_right(setting, expected, got):
                problems.append(_wrong_setting(bootstrap_servers, name, setting, expected, got))
    return problems


def mend_topics(
    bootstrap_servers: str, problems: Iterable[TopicProblem], client_settings: Settings = NO_SETTINGS
) -> list[TopicProblem]:
    """Corrects the mendable ones of the problems that `check_topics` found, and returns these.

    It raises the partition counts of state and verdicts, which are written by number, so no stream moves; it never
    lowers one, and never changes the frames topic's. Raises `BrokerUnavailableError`, `TopicRefusedError`.
    """
    mended = [problem for problem in problems if problem.mendable]
    settings: dict[str, dict[str, str]] = {}
    counts: dict[str, int] = {}
    for problem in mended:
        if problem.setting == PARTITIONS:
            counts[problem.topic] = int(problem.expected)
        else:
            settings.setdefault(problem.topic, {})[problem.setting] = problem.expected
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        try:
            if settings:
                resources = [ConfigResource(ConfigResourceType.TOPIC, name, c) for name, c in settings.items()]
                _check_altered(admin.alter_configs(resources))
            if counts:
                admin.create_partitions(counts)
        except KafkaError as error:
            raise TopicRefusedError(
                f"could not change {', '.join([*settings, *counts])}: {error}; run `gradwatch topics --mend` as a user "
                "who may alter topics"
            ) from error
    return mended


def add_partitions(bootstrap_servers: str, topics: Topics, client_settings: Settings = NO_SETTINGS) -> None:
    """Gives state and verdicts as many partitions as the frames topic has by now. Raises as `mend_topics`."""
    problems = check_topics(bootstrap_servers, topics, client_settings)
    added = mend_topics(bootstrap_servers, [one for one in problems if one.setting == PARTITIONS], client_settings)
    for problem in added:
        log.warning("topic %s: raised to %s partitions, as %s has", problem.topic, problem.expected, topics.frames)


def has_members_of_new_protocol(bootstrap_servers: str, group_id: str, client_settings: Settings = NO_SETTINGS) -> bool:
    """Whether clients with `group.protocol=consumer` (KIP-848) are members of the group.

    False where the broker does not know of the protocol, or does not say.
    """
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        try:
            groups = admin.list_groups(types_filter=["consumer"])
        except KafkaError:
            return False
    # Tansu ignores the filter.
    return any((group["group_id"], group["group_type"]) == (group_id, "consumer") for group in groups)


def delete_topics(bootstrap_servers: str, names: Iterable[str], client_settings: Settings = NO_SETTINGS) -> None:
    """Deletes those of the topics that exist; only this frees memory of the embedded broker."""
    with connect(KafkaAdminClient, bootstrap_servers, client_settings) as admin:
        present = sorted(set(names) & set(admin.list_topics()))
        if present:
            admin.delete_topics(present)


def _configs(admin: Any, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    described: Mapping[str, Any] = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {name: {key: str(value["value"]) for key, value in configs.items()} for name, configs in described.items()}


def _check_altered(answer: Mapping[str, Mapping[str, object]]) -> None:
    results = [(name, str(result)) for kind in answer.values() for name, result in kind.items()]
    refused = [f"{name}: {result}" for name, result in results if "Error" in result]
    if refused:
        raise TopicRefusedError(f"could not set topics: {'; '.join(refused)}")


def _is_right(setting: str, expected: str, got: str) -> bool:
    if setting in AT_LEAST and got != UNKNOWN:
        return int(got) >= int(expected) or int(got) == -1  # -1: kept for ever
    return got == expected


def _missing(servers: str, name: str, settings: TopicSettings) -> TopicProblem:
    options = "".join(f" --config {key}={value}" for key, value in settings.configs.items())
    create = f"{_command(servers, 'create', name)} --partitions {settings.partitions}{options}"
    return TopicProblem(name, EXISTENCE, "to exist", "no topic of that name", f"create it: {create}")


def _wrong_count(servers: str, name: str, expected: int, got: int, raisable: bool) -> TopicProblem:
    if got < expected:
        remedy = f"raise them: {_command(servers, 'alter', name)} --partitions {expected}"
    else:
        remedy = f"partitions can't be lowered, recreate the topic: {_command(servers, 'delete', name)}"
    return TopicProblem(name, PARTITIONS, str(expected), str(got), remedy, mendable=raisable and got < expected)


def _command(servers: str, action: str, name: str) -> str:
    return f"kafka-topics.sh --bootstrap-server {servers} --{action} --topic {name}"


def _wrong_setting(servers: str, name: str, setting: str, expected: str, got: str) -> TopicProblem:
    remedy = (
        f"set it: kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {name} "
        f"--add-config {setting}={expected}"
    )
    return TopicProblem(name, setting, expected, got, remedy, mendable=got != UNKNOWN)
