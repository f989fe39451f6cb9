"""Which tests need services, and which of them run in one process when tests run in parallel.

A test is marked `service` where it starts processes (brokers, databases, a browser, the program itself): by what
fixtures it uses, by its folder, or by hand. One that starts a process without the mark fails.

In parallel (`pytest -n`), a group of tests runs in one process one after the other: a file, or all that share an
expensive service. Groups that take long start first, so that no process ends long after the others.

`make test-fast` leaves out `service` and `slow`.
"""

from __future__ import annotations

import pytest

from .places import ROOT

SERVICE, SLOW = "service", "slow"
SERVICES = frozenset(
    {"embedded", "every_broker", "best_broker", "kafka", "cluster", "mortal_cluster", "browser", "postgresql"}
)
SERVICE_PARAMETERS = frozenset({"kafka", "postgresql"})  # of fixtures that choose a service while they are made
SERVICE_PATHS = (
    "tests/browser/",
    "tests/faults/",
    "tests/live_cameras/",
    "tests/monitor/bench/",
    "tests/monitor/commands/test_attach.py",
    "tests/monitor/commands/test_commands.py",
    "tests/monitor/commands/test_dlq.py",
    "tests/monitor/commands/test_status.py",
    "tests/monitor/demo/test_run.py",
    "tests/monitor/doctor/test_broker.py",
    "tests/monitor/doctor/test_doctor.py",
    "tests/monitor/review/feed/test_ingest.py",
    "tests/monitor/review/feed/test_kills.py",
    "tests/streams/transport/test_embedded.py",
    "tests/streams/transport/test_producer.py",
)
SLOW_PATHS = (  # of more than five seconds, without any service
    "tests/models/instrumentation/test_recognition.py",
    "tests/models/test_sign_weights.py",
    "tests/models/training/",
    "tests/monitor/evaluate/",
    "tests/monitor/review/api/",
    "tests/streams/world/test_drive.py",
)
MAY_START = frozenset({"uname"})  # programs that cost nothing
SHARED_SERVICES = ("cluster", "kafka")  # a process starts each once: all tests of one are a group
BROWSER = "tests/browser/"

# Groups of more than about ten seconds, longest first.
LONG = (
    "browser",
    "kafka",
    "cluster",
    "tests/monitor/demo/test_run.py",
    "tests/streams/transport/test_takeover.py",
    "tests/monitor/commands/test_commands.py",
    "tests/monitor/review/api/test_hostile_visitors.py",
    "tests/streams/transport/test_roundtrip.py",
    "tests/monitor/review/feed/test_kills.py",
    "tests/faults/test_overload.py",
    "tests/faults/test_bad_input.py",
    "tests/streams/world/test_drive.py",
    "tests/monitor/judging/test_judge.py",
    "tests/monitor/commands/test_status.py",
    "tests/monitor/worker/test_startup.py",
    "tests/monitor/review/api/test_api.py",
    "tests/monitor/review/feed/test_ingest.py",
    "tests/monitor/review/api/test_access.py",
    "tests/monitor/evaluate/test_pedestrians.py",
)


def path_of(item: pytest.Item) -> str:
    """Of the test's file in the repository."""
    return item.path.relative_to(ROOT).as_posix()


def parameters_of(item: pytest.Item) -> set[str]:
    """The test's parameters that are texts."""
    call = getattr(item, "callspec", None)
    return {value for value in call.params.values() if isinstance(value, str)} if call else set()


def fixtures_of(item: pytest.Item) -> set[str]:
    """The fixtures that the test uses, itself or by others."""
    return set(getattr(item, "fixturenames", ()))


def needs_service(item: pytest.Item) -> bool:
    """Whether the test's fixtures or folder tell that it starts processes."""
    return bool(
        fixtures_of(item) & SERVICES
        or parameters_of(item) & SERVICE_PARAMETERS
        or path_of(item).startswith(SERVICE_PATHS)
    )


def is_slow(item: pytest.Item) -> bool:
    """Whether the test is one of those that take long without any service."""
    return path_of(item).startswith(SLOW_PATHS)


def group_of(item: pytest.Item, has_kafka: bool) -> str:
    """The name of the test's group: a service, or the file."""
    used = fixtures_of(item) | parameters_of(item)
    if "best_broker" in used and has_kafka:
        used.add("kafka")
    for service in SHARED_SERVICES:
        if service in used:
            return service
    path = path_of(item)
    return "browser" if path.startswith(BROWSER) and "scene" in used else path


def rank_of(group: str) -> int:
    """Where the group stands in the order of beginning; equal ones stay as they were collected."""
    return LONG.index(group) if group in LONG else len(LONG)
