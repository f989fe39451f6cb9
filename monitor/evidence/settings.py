"""Settings of the evidence service."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gradwatch.ranges import Bytes, Port, PositiveSeconds

GIBIBYTE = 1024**3


class EvidenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where evidence files are stored and how much disk space they may use."""

    folder: str = "evidence"  # holds <stream>/<alert>.mcap
    max_bytes: Bytes = 10 * GIBIBYTE  # above it files of reviewed alerts go first, then of closed ones, oldest first
    group_id: Annotated[str, msgspec.Meta(min_length=1)] = "gradwatch-evidence"  # consumer group on the alerts topic
    patience_s: PositiveSeconds = 30.0  # after this silence a stream is taken to have no more frames for a window
    metrics_port: Port | None = None  # serves /metrics, /healthz and /readyz
    metrics_address: str = "127.0.0.1"  # address of that port; "0.0.0.0" where Prometheus runs elsewhere
