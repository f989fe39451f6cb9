"""Faults of one topic on Apache Kafka: `FAULTS[name](servers, topics, topic)` returns what mends it."""

from __future__ import annotations

from collections.abc import Callable

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ConfigResource,
    ConfigResourceType,
    ResourcePattern,
    ResourceType,
)

from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.wire.topics import Topics

from ..waiting import wait_until


def delete(servers: str, topics: Topics, name: str) -> Callable[[], None]:
    delete_topics(servers, [name])
    with KafkaAdminClient(bootstrap_servers=servers) as admin:
        wait_until(lambda: name not in admin.list_topics(), what=f"the end of {name}")
    return lambda: wait_until(lambda: name in ensure_topics(servers, topics, 1)) and None


def shrink(servers: str, topics: Topics, name: str) -> Callable[[], None]:
    def limit(size: int) -> None:
        resource = ConfigResource(ConfigResourceType.TOPIC, name, configs={"max.message.bytes": str(size)})
        with KafkaAdminClient(bootstrap_servers=servers) as admin:
            admin.alter_configs([resource])
            wait_until(lambda: str(size) in str(admin.describe_configs([resource])), what="the limit is in force")

    limit(60)
    return lambda: limit(8 << 20)


def lock(servers: str, topics: Topics, name: str) -> Callable[[], None]:
    pattern = ResourcePattern(ResourceType.TOPIC, name)
    rules = [
        ACL("User:ANONYMOUS", "*", operation, kind, pattern)
        for operation, kind in (
            (ACLOperation.ALL, ACLPermissionType.ALLOW),
            (ACLOperation.WRITE, ACLPermissionType.DENY),
        )
    ]
    denied = ACLFilter("User:ANONYMOUS", "*", ACLOperation.WRITE, ACLPermissionType.DENY, pattern)
    with KafkaAdminClient(bootstrap_servers=servers) as admin:
        admin.create_acls(rules)
        wait_until(lambda: admin.describe_acls(denied)[0], what="the rules are in force")

    def unlock() -> None:
        with KafkaAdminClient(bootstrap_servers=servers) as admin:
            admin.delete_acls([denied])

    return unlock


FAULTS = {"deleted": delete, "too small": shrink, "read-only": lock}
