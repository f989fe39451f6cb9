"""The report of all checks, for a person to read in ten seconds, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .results import Result, Sections, Status

SYMBOLS = {Status.OK: "✓", Status.MISSING: "✗", Status.WRONG: "✗", Status.UNKNOWN: "?"}
PLAIN_SYMBOLS = {Status.OK: "+", Status.MISSING: "x", Status.WRONG: "x", Status.UNKNOWN: "?"}
OPTIONAL, PLAIN_OPTIONAL = "○", "o"  # missing or wrong, but not needed
STYLES = {Status.OK: "green", Status.MISSING: "bold red", Status.WRONG: "bold red", Status.UNKNOWN: "yellow"}


def print_report(console: Console, sections: Sections) -> None:
    """The table, the remedies, and the verdict as the last line."""
    plain = not (console.encoding or "").lower().startswith("utf")
    console.print(_table(sections, plain))
    results = [result for rows in sections.values() for result in rows]
    faults = [result for result in results if result.is_fault]
    optional = [result for result in results if result.needs_mending and not result.needed]
    for title, rows in (("To mend", faults), ("If you want it", optional)):
        if rows:
            console.print(Text(f"\n{title}", "bold"))
            for remedy, subjects in _by_remedy(rows):
                console.print(Text(f"  {subjects}: "), Text(remedy, "bold"), sep="", soft_wrap=True)
    unknown = sum(result.status is Status.UNKNOWN for result in results)
    console.print(_verdict(len(faults), unknown), soft_wrap=True)


def has_fault(sections: Sections) -> bool:
    """Whether something that the configuration needs must be mended."""
    return any(result.is_fault for results in sections.values() for result in results)


def _table(sections: Sections, plain: bool) -> RenderableType:
    parts: list[RenderableType] = []
    subject_width = max((len(result.subject) for results in sections.values() for result in results), default=0)
    for name, results in sections.items():
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(no_wrap=True, width=9)
        table.add_column(width=min(subject_width, 24), overflow="fold")
        table.add_column(ratio=1, overflow="fold")
        for result in results:
            found = Text(result.found, "" if result.is_fault else "dim")
            table.add_row(_mark(result, plain), Text(result.subject), found)
        parts += [Text(name, "bold"), table]
    return Group(*parts)


def _mark(result: Result, plain: bool) -> Text:
    if result.needs_mending and not result.needed:
        return Text(f"{PLAIN_OPTIONAL if plain else OPTIONAL} {result.status}", "dim")
    symbols = PLAIN_SYMBOLS if plain else SYMBOLS
    return Text(f"{symbols[result.status]} {result.status}", STYLES[result.status])


def _by_remedy(results: Iterable[Result]) -> Iterator[tuple[str, str]]:
    """Each remedy once, with the subjects that it mends."""
    together: dict[str, list[str]] = {}
    for result in results:
        together.setdefault(result.remedy, []).append(result.subject)
    for remedy, subjects in together.items():
        more = f" and {len(subjects) - 3} more" if len(subjects) > 3 else ""
        yield remedy, ", ".join(subjects[:3]) + more


def _verdict(faults: int, unknown: int) -> Text:
    if not faults:
        rest = f", {unknown} unknown" if unknown else ""
        return Text(f"\nready: nothing that this configuration needs is missing or wrong{rest}", "bold green")
    things = "1 thing" if faults == 1 else f"{faults} things"
    return Text(f"\nnot ready: {things} that this configuration needs must be mended", "bold red")
