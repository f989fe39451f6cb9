"""How the doctor's checks are run, and how what they find is shown."""

from __future__ import annotations

import io
import json
import time

from rich.console import Console

from gradwatch.monitor.config import Configuration
from gradwatch.monitor.doctor.examination import Check, Section, examine
from gradwatch.monitor.doctor.findings import Finding, Scope, Status
from gradwatch.monitor.doctor.rendering import as_json, print_report
from gradwatch.streams.observability.logs import hide

PASSWORD = "hunter2-behind-the-door"


def raises(_: Scope) -> list[Finding]:
    raise RuntimeError(f"password={PASSWORD} is wrong\nat line 3")


def sleeps(_: Scope) -> list[Finding]:
    time.sleep(5)
    return []


def is_well(_: Scope) -> list[Finding]:
    return [Finding("thing", Status.OK, "there")]


def test_a_check_that_raises_or_sleeps_is_a_row() -> None:
    hide([PASSWORD])
    begun_s = time.monotonic()
    checks = (Check("a", raises), Check("a", sleeps, 0.2), Check("b", is_well))
    first, second = examine(Scope(Configuration()), checks)
    assert time.monotonic() - begun_s < 2
    failed, slept = first.findings
    assert (failed.subject, failed.status) == ("raises", Status.UNKNOWN)
    assert failed.found == "the check failed: RuntimeError: password=*** is wrong at line 3"
    assert slept.found == "no answer within 0.2 s"
    assert second == Section("b", [Finding("thing", Status.OK, "there")])


SECTIONS = [
    Section(
        "things",
        [
            Finding("well", Status.OK, "there"),
            Finding("gone", Status.MISSING, "not there", "make it --with 'what must be copied' " + "x" * 60),
            Finding("spare", Status.WRONG, "not there", "buy one", needed=False),
            Finding("dim", Status.UNKNOWN, "dark"),
        ],
    )
]


def printed(sections: list[Section], encoding: str) -> str:
    """What an 80 columns wide terminal of this encoding shows."""
    shown = io.BytesIO()
    with io.TextIOWrapper(shown, encoding=encoding) as file:
        print_report(Console(width=80, file=file), sections)
        file.flush()
        return shown.getvalue().decode(encoding)


def test_words_and_symbols_tell_and_commands_stay_whole() -> None:
    text = printed(SECTIONS, "utf-8")
    for line in ("✓ ok      well", "✗ missing gone", "○ wrong   spare", "? unknown dim"):
        assert line in text
    assert f"  gone: {SECTIONS[0].findings[1].remedy}\n" in text
    assert text.index("To mend") < text.index("gone: make") < text.index("If you want it") < text.index("spare: buy")
    assert text.rstrip().endswith("not ready: 1 thing that this configuration needs must be mended")
    assert json.loads(as_json(SECTIONS))["ok"] is False
    assert json.loads(as_json([Section("things", SECTIONS[0].findings[:1])]))["ok"] is True


def test_a_terminal_without_unicode_is_served() -> None:
    text = printed(SECTIONS, "ascii")
    for line in ("+ ok      well", "x missing gone", "o wrong   spare", "? unknown dim"):
        assert line in text
