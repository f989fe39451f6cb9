"""What a person reads of an examination in ten seconds, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .examination import Section
from .findings import Finding, Status

SYMBOLS = {Status.OK: "✓", Status.MISSING: "✗", Status.WRONG: "✗", Status.UNKNOWN: "?"}
PLAIN_SYMBOLS = {Status.OK: "+", Status.MISSING: "x", Status.WRONG: "x", Status.UNKNOWN: "?"}
OPTIONAL, PLAIN_OPTIONAL = "○", "o"  # missing or wrong, but nothing that the configuration needs
STYLES = {Status.OK: "green", Status.MISSING: "bold red", Status.WRONG: "bold red", Status.UNKNOWN: "yellow"}


def print_report(console: Console, sections: Sequence[Section]) -> None:
    """The table, what mends what, and the verdict as the last line."""
    plain = not (console.encoding or "").lower().startswith("utf")
    console.print(_table(sections, plain))
    faults = [finding for finding in _findings(sections) if finding.is_fault]
    wanting = [f for f in _findings(sections) if f.status in (Status.MISSING, Status.WRONG) and not f.needed]
    for title, rows in (("To mend", faults), ("If you want it", wanting)):
        if rows:
            console.print(Text(f"\n{title}", "bold"))
            for remedy, subjects in _by_remedy(rows):
                console.print(Text(f"  {subjects}: "), Text(remedy, "bold"), sep="", soft_wrap=True)
    unknown = sum(finding.status is Status.UNKNOWN for finding in _findings(sections))
    console.print(_verdict(faults, unknown), soft_wrap=True)


def as_json(sections: Sequence[Section]) -> bytes:
    """The findings by section, and whether the configuration can be worked with."""
    tree: dict[str, Any] = {
        "ok": not any(finding.is_fault for finding in _findings(sections)),
        "sections": {section.name: section.findings for section in sections},
    }
    return msgspec.json.format(msgspec.json.encode(tree), indent=2)


def _table(sections: Sequence[Section], plain: bool) -> RenderableType:
    parts: list[RenderableType] = []
    subject_width = max((len(finding.subject) for finding in _findings(sections)), default=0)
    for section in sections:
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(no_wrap=True, width=9)
        table.add_column(width=min(subject_width, 24), overflow="fold")
        table.add_column(ratio=1, overflow="fold")
        for finding in section.findings:
            table.add_row(_mark(finding, plain), Text(finding.subject), Text(finding.found, _style(finding)))
        parts += [Text(section.name, "bold"), table]
    return Group(*parts)


def _mark(finding: Finding, plain: bool) -> Text:
    symbols = PLAIN_SYMBOLS if plain else SYMBOLS
    if finding.status in (Status.MISSING, Status.WRONG) and not finding.needed:
        return Text(f"{PLAIN_OPTIONAL if plain else OPTIONAL} {finding.status}", "dim")
    return Text(f"{symbols[finding.status]} {finding.status}", STYLES[finding.status])


def _style(finding: Finding) -> str:
    return "" if finding.is_fault else "dim"


def _by_remedy(findings: Iterable[Finding]) -> Iterator[tuple[str, str]]:
    """Each remedy once, with everything that it mends."""
    together: dict[str, list[str]] = {}
    for finding in findings:
        together.setdefault(finding.remedy, []).append(finding.subject)
    for remedy, subjects in together.items():
        shown = ", ".join(subjects[:3])
        yield remedy, shown + (f" and {len(subjects) - 3} more" if len(subjects) > 3 else "")


def _verdict(faults: Sequence[Finding], unknown: int) -> Text:
    if not faults:
        rest = f", {unknown} unknown" if unknown else ""
        return Text(f"\nready: nothing that this configuration needs is missing or wrong{rest}", "bold green")
    what = "1 thing" if len(faults) == 1 else f"{len(faults)} things"
    return Text(f"\nnot ready: {what} that this configuration needs must be mended", "bold red")


def _findings(sections: Iterable[Section]) -> Iterator[Finding]:
    return (finding for section in sections for finding in section.findings)
