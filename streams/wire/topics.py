"""The table of topics: names and required settings; `docs/wire.md` gives the reasons."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_RECORD_BYTES = 8 * 1024 * 1024
DEFAULT_PREFIX = "gradwatch."
DEFAULT_PARTITIONS = 24
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
EVIDENCE_WINDOW_S = 65.0  # from 5 s before an alert's onset to 60 s after it
LAG_BUDGET_S = 835.0  # how far a worker, or a service that reads an alert's frames again, may lag behind


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How a topic is created: partition count and the broker's settings by name."""

    partitions: int
    configs: dict[str, str] = field(default_factory=dict)


class _Output:
    """The name of an output's topic: the prefix and the attribute's own name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, topics: Topics, owner: type) -> str:
        return topics.prefix + self._name


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics. Frames are read from `frames`; all outputs begin with `prefix`.

    They are configured apart because an output prefix belongs to one consumer group: judging the same frames again
    needs another prefix. Frames are retained for the window of an alert's evidence plus `lag_budget_s`.
    """

    prefix: str = DEFAULT_PREFIX
    frames: str = DEFAULT_PREFIX + "frames"  # JPEG or PNG, key stream_id, short retention
    lag_budget_s: float = LAG_BUDGET_S

    def __post_init__(self) -> None:
        if not self.lag_budget_s >= 0:
            raise ValueError(f"lag_budget_s must be at least 0, got {self.lag_budget_s}")
        outputs = [name for name, each in vars(type(self)).items() if isinstance(each, _Output)]
        if self.frames in {getattr(self, name) for name in outputs}:
            raise ValueError(f"frames: expected a topic apart from the outputs {', '.join(outputs)}, got {self.frames}")

    reports = _Output()  # MessagePack, one per frame, key stream_id
    overlays = _Output()  # `foxglove.ImageAnnotations` as JSON, best effort, key stream_id
    alerts = _Output()  # JSON, written by the worker alone, key stream_id, long retention
    attachments = _Output()  # JSON about explanations and evidence, key alert id
    health = _Output()  # JSON, key stream_id
    state = _Output()  # the worker's state of each stream; compacted, in the partition of the stream's frames
    verdicts = _Output()  # reviewers' verdicts; compacted, in the partition of the stream's frames
    dlq = _Output()  # records that could not be processed, unchanged

    def settings(self, partitions: int = DEFAULT_PARTITIONS) -> dict[str, TopicSettings]:
        """Settings by topic name; `partitions` is that of frames, state and verdicts, which must be equal.

        Raising it later would move streams to other partitions, hence the generous default.
        """
        retention_ms = round(1000 * (EVIDENCE_WINDOW_S + self.lag_budget_s))
        segment_ms = min(5 * MINUTE_MS, retention_ms // 3)
        return {
            # Only whole segments are deleted, so a segment must be shorter than the retention. `uncompressed`:
            # pictures don't get smaller by it.
            self.frames: _deleted(
                partitions, retention_ms, {"segment.ms": str(segment_ms), "compression.type": "uncompressed"}
            ),
            self.reports: _deleted(6, 7 * DAY_MS),
            self.overlays: _deleted(6, 1 * DAY_MS),
            self.alerts: _deleted(1, 365 * DAY_MS),
            self.attachments: _deleted(1, 365 * DAY_MS),
            self.health: _deleted(1, 1 * DAY_MS),
            self.state: _compacted(partitions),
            self.verdicts: _compacted(partitions),
            self.dlq: _deleted(1, 14 * DAY_MS),
        }


def _deleted(partitions: int, retention_ms: int, more: dict[str, str] | None = None) -> TopicSettings:
    configs = {"cleanup.policy": "delete", "retention.ms": str(retention_ms), "compression.type": "producer"}
    return TopicSettings(partitions, configs | {"max.message.bytes": str(MAX_RECORD_BYTES)} | (more or {}))


def _compacted(partitions: int) -> TopicSettings:
    # The active segment is never compacted: with small, short-lived segments a new owner has less to read.
    segments = {"segment.bytes": str(MAX_RECORD_BYTES), "segment.ms": str(MINUTE_MS)}
    configs = {"cleanup.policy": "compact", "compression.type": "producer", "min.cleanable.dirty.ratio": "0.1"}
    return TopicSettings(partitions, configs | {"max.message.bytes": str(MAX_RECORD_BYTES)} | segments)
