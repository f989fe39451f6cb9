"""All checks in one table, run one after the other, each within its own time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from gradwatch.streams.observability.logs import scrub

from . import broker, codecs, devices, machine, networks, packages
from .findings import Finding, Scope, Status

Run = Callable[[Scope], list[Finding]]


class Check(NamedTuple):
    """One check: the section that its rows stand in, and how long it may take.

    `configured` says that it asks the configuration, so it is left out where there is none; `needs` is a check
    without whose success this one has nothing to look at.
    """

    section: str
    run: Run
    timeout_s: float = 10.0
    configured: bool = True
    needs: Run | None = None


CHECKS = (
    Check("Python", packages.python_and_core, configured=False),
    Check("Python", packages.extras, configured=False),
    Check("devices", devices.cores),
    Check("devices", devices.onnx, 30.0),
    Check("devices", devices.torch, 60.0, configured=False),
    Check("networks", networks.weights, 30.0),
    Check("networks", networks.networks_and_calibrations, 60.0),
    Check("codecs", codecs.codecs),
    Check("broker", broker.broker),
    Check("broker", broker.topics, 15.0, needs=broker.broker),
    Check("broker", broker.embedded_broker, configured=False),
    Check("clocks", machine.own_clock, configured=False),
    Check("clocks", broker.clocks, 30.0, needs=broker.broker),
    Check("machine", machine.memory),
    Check("machine", machine.disk, configured=False),
    Check("machine", machine.ports),
)


class Section(NamedTuple):
    """The rows that stand together."""

    name: str
    findings: list[Finding]


def examine(scope: Scope, checks: tuple[Check, ...] = CHECKS) -> list[Section]:
    """Runs every check. One that fails or takes too long becomes a row `unknown`; no text holds a credential."""
    sections: dict[str, Section] = {}
    failed: set[Run] = set()
    for check in checks:
        if check.needs in failed:
            assert check.needs is not None
            needed = _name(check.needs)
            findings = [Finding(_name(check.run), Status.UNKNOWN, f"needs the {needed}", needed=False)]
        else:
            findings = _found(check, scope)
        if any(finding.status is not Status.OK for finding in findings):
            failed.add(check.run)
        section = sections.setdefault(check.section, Section(check.section, []))
        section.findings.extend(_scrubbed(finding) for finding in findings)
    return list(sections.values())


def _found(check: Check, scope: Scope) -> list[Finding]:
    """What a check finds, in a thread that is left behind when its time is over."""
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.extend(_outcome(check.run, scope)), daemon=True)
    thread.start()
    thread.join(check.timeout_s)
    if thread.is_alive():
        return [Finding(_name(check.run), Status.UNKNOWN, f"no answer within {check.timeout_s:g} s")]
    return found


def _outcome(run: Run, scope: Scope) -> list[Finding]:
    try:
        return run(scope)
    except ModuleNotFoundError as error:
        return [Finding(_name(run), Status.MISSING, str(error), "see the extras above")]
    except Exception as error:
        return [Finding(_name(run), Status.UNKNOWN, f"the check failed: {type(error).__name__}: {error}")]


def _name(run: Run) -> str:
    return run.__name__.replace("_", " ")


def _scrubbed(finding: Finding) -> Finding:
    texts = (finding.subject, finding.found, finding.remedy)
    subject, found, remedy = (scrub(" ".join(text.split())) for text in texts)
    return Finding(subject, finding.status, found, remedy, finding.needed)
