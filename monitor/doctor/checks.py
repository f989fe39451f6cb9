"""The table of all checks, and running them one after the other, each within a timeout."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gradwatch.streams.observability.logs import scrub

from . import broker, codecs, devices, machine, networks, packages
from .results import Context, Result, Sections, Status

Run = Callable[[Context], list[Result]]


class Check(NamedTuple):
    """One check: the section of its rows in the report, and its timeout.

    `configured` checks depend on the configuration and are left out if it is invalid; a check is skipped if the check
    that it `needs` has failed.
    """

    section: str
    run: Run
    timeout_s: float = 10.0
    configured: bool = True
    needs: Run | None = None

    @property
    def name(self) -> str:
        """The subject of its row if it does not return any."""
        return self.run.__name__.replace("_", " ")


CHECKS: tuple[Check, ...] = (
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


def run_checks(context: Context, checks: Iterable[Check]) -> Sections:
    """Runs every check. One that fails or takes too long gives an `unknown` row; no text contains a credential."""
    sections: Sections = {}
    failed: set[Run] = set()
    for check in checks:
        if check.needs in failed:
            results = [Result(check.name, Status.UNKNOWN, f"needs the {check.needs.__name__}", needed=False)]
        else:
            results = _run_with_timeout(check, context)
        if any(result.status is not Status.OK for result in results):
            failed.add(check.run)
        sections.setdefault(check.section, []).extend(_scrubbed(result) for result in results)
    return sections


def _run_with_timeout(check: Check, context: Context) -> list[Result]:
    """The results of a check; its thread is abandoned if it takes too long."""
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(_run(check, context)), daemon=True)
    thread.start()
    thread.join(check.timeout_s)
    if thread.is_alive():
        return [Result(check.name, Status.UNKNOWN, f"no answer within {check.timeout_s:g} s")]
    return results


def _run(check: Check, context: Context) -> list[Result]:
    try:
        return check.run(context)
    except ModuleNotFoundError as error:
        return [Result(check.name, Status.MISSING, str(error), "see the extras above")]
    except Exception as error:
        return [Result(check.name, Status.UNKNOWN, f"the check failed: {type(error).__name__}: {error}")]


def _scrubbed(result: Result) -> Result:
    texts = (result.subject, result.found, result.remedy)
    subject, found, remedy = (scrub(" ".join(text.split())) for text in texts)
    return Result(subject, result.status, found, remedy, result.needed)
