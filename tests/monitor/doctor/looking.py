"""What the tests of the doctor share: what is examined, and what was found."""

from __future__ import annotations

from gradwatch.monitor.config import from_tree
from gradwatch.monitor.doctor.findings import Finding, Scope


def scope(**tree: object) -> Scope:
    """A configuration as its YAML file would give it."""
    return Scope(from_tree(tree))


def by_subject(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}
