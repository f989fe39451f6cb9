"""Settings of the services that follow the alerts."""

from __future__ import annotations

import msgspec

GIBIBYTE = 1024**3


class EvidenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where evidence is kept, and how much of it."""

    folder: str = "evidence"  # <stream>/<alert>.mcap below it
    max_bytes: int = 10 * GIBIBYTE  # beyond it reviewed alerts' files go first, then closed ones', the oldest first
    group_id: str = "gradwatch-evidence"  # consumer group on the alerts topic
    patience_s: float = 30.0  # a stream that is silent for so long has no more frames for a window
    metrics_port: int | None = None  # serves /metrics, /healthz and /readyz
    metrics_address: str = "127.0.0.1"  # at which it does; "0.0.0.0" where Prometheus is elsewhere

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or not self.patience_s > 0:
            raise ValueError(
                f"evidence: expected max_bytes >= 1 and patience_s > 0, got {self.max_bytes} and {self.patience_s}"
            )
