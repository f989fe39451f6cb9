"""Running the doctor's checks, and showing their results."""

from __future__ import annotations

import io
import threading
import time

from rich.console import Console

from gradwatch.monitor.config import Configuration
from gradwatch.monitor.doctor.checks import Check, run_checks
from gradwatch.monitor.doctor.report import has_fault, print_report
from gradwatch.monitor.doctor.results import Context, Result, Sections, Status
from gradwatch.streams.observability.logs import hide

from ...waiting import LIMIT_S

PASSWORD = "hunter2-behind-the-door"


def raises(_: Context) -> list[Result]:
    raise RuntimeError(f"password={PASSWORD} is wrong\nat line 3")


def sleeps(_: Context) -> list[Result]:
    threading.Event().wait(600)
    return []


def is_well(_: Context) -> list[Result]:
    return [Result("thing", Status.OK, "there")]


def test_a_check_that_raises_or_sleeps_is_a_row() -> None:
    hide([PASSWORD])
    begun_s = time.monotonic()
    checks = (Check("a", raises), Check("a", sleeps, 0.2), Check("b", is_well))
    sections = run_checks(Context(Configuration()), checks)
    assert time.monotonic() - begun_s < LIMIT_S
    failed, slept = sections["a"]
    assert (failed.subject, failed.status) == ("raises", Status.UNKNOWN)
    assert failed.found == "the check failed: RuntimeError: password=*** is wrong at line 3"
    assert slept.found == "no answer within 0.2 s"
    assert sections["b"] == [Result("thing", Status.OK, "there")]


SECTIONS = {
    "things": [
        Result("well", Status.OK, "there"),
        Result("gone", Status.MISSING, "not there", "make it --with 'what must be copied' " + "x" * 60),
        Result("spare", Status.WRONG, "not there", "buy one", needed=False),
        Result("dim", Status.UNKNOWN, "dark"),
    ]
}


def printed(sections: Sections, encoding: str) -> str:
    """The output on a terminal of 80 columns with this encoding."""
    shown = io.BytesIO()
    with io.TextIOWrapper(shown, encoding=encoding) as file:
        print_report(Console(width=80, file=file), sections)
        file.flush()
        return shown.getvalue().decode(encoding)


def test_rows_have_words_and_symbols_and_commands_stay_on_one_line() -> None:
    text = printed(SECTIONS, "utf-8")
    for line in ("✓ ok      well", "✗ missing gone", "○ wrong   spare", "? unknown dim"):
        assert line in text
    assert f"  gone: {SECTIONS['things'][1].remedy}\n" in text
    assert text.index("To mend") < text.index("gone: make") < text.index("If you want it") < text.index("spare: buy")
    assert text.rstrip().endswith("not ready: 1 thing that this configuration needs must be mended")
    assert has_fault(SECTIONS)
    assert not has_fault({"things": SECTIONS["things"][:1]})


def test_a_terminal_without_unicode_gets_plain_symbols() -> None:
    text = printed(SECTIONS, "ascii")
    for line in ("+ ok      well", "x missing gone", "o wrong   spare", "? unknown dim"):
        assert line in text
