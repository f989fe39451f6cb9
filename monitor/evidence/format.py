"""What an evidence file is made of: names of its topics, and what it says of each frame."""

from __future__ import annotations

from importlib.util import find_spec

import msgspec

from gradwatch import MissingPackageError

CAMERA, OVERLAY, FRAMES = "/camera", "/overlay", "/frames"
SCORES, P_VALUES, CHANGE = "/scores", "/p_values", "/change"
THRESHOLDS, ALERTS = "/thresholds", "/alerts"
METADATA, REPORTS = "gradwatch", "reports.msgpack"
MODULES = ("mcap", "mcap_protobuf", "foxglove_schemas_protobuf")


class EvidenceError(ValueError):
    """A file that is no evidence file, or is damaged."""


class FrameRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `/frames` says of the picture that follows it; times are decimal strings, as on the wire."""

    stream_id: str
    run_id: str
    seq: int
    partition: int
    offset: int
    capture_ns: str
    published_ns: str
    encoding: str
    clock: str
    traceparent: str | None = None


def require_extra() -> None:
    """Raises MissingPackageError, with the command that helps, where the libraries of evidence files are missing."""
    absent = [name for name in MODULES if find_spec(name) is None]
    if absent:
        raise MissingPackageError(f"evidence files need {', '.join(absent)}: pip install 'gradwatch[evidence]'")
