"""What the long tests of live cameras measured -> one report; the tests keep one file each under runs/cameras."""

from __future__ import annotations

from .kept_figures import Figures, sections
from .reports import heading

COMMAND = "pytest -m faults tests/cameras"
INTRODUCTION = (
    "A GStreamer RTSP server on loopback plays cameras in H.264 (two slices a picture, parameter sets before each "
    "slice of a key frame) and in MJPEG, with digest authentication and a password full of special letters. `gradwatch "
    "attach` and an Apache Kafka are processes of their own beside it. Every picture carries its number. A test fails "
    "unless the numbers of each connection follow one another without a hole or a repeat, every disturbance is told on "
    "`health` within 5 s, and log, figures, metrics and topics hold no credential.",
    "",
    "`told after s`: from the command to the camera, or from the first picture of the new connection (reconnected), or "
    "from the refusal (unauthorized), until the record was published. Frozen counts after 3 s, black and overexposed "
    "after 2 s, no frames after 3 s.",
    "",
    "The tests of memory have no broker: each connection is cut after 60 kB and made again at once.",
)


def cameras_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate cameras`."""
    lines = heading("Live cameras", f"{COMMAND}` and `gradwatch evaluate cameras")
    lines += [*INTRODUCTION, ""]
    lines += sections(figures, shown=lambda name: name.replace("_", " "))
    return "\n".join(lines)
