"""What `make test-faults` measured -> one report; the tests keep one file each under runs/faults."""

from __future__ import annotations

from .kept_figures import Figures, sections
from .reports import heading

COMMAND = "make test-faults"


def faults_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate faults`."""
    lines = heading("Faults on a real Apache Kafka", COMMAND)
    lines += ["Each test also fails unless nothing was lost and nothing was said twice in other words.", ""]
    return "\n".join(lines + sections(figures))
