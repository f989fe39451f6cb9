"""The types that cross the wire; `docs/wire.md` says how they become bytes.

Time is in nanoseconds, lengths are in pixels of the camera's picture (origin: the top-left corner of the
top-left pixel), arrays are numpy and `n == 0` is legal everywhere.
"""

from __future__ import annotations

import re
import uuid
from enum import StrEnum
from typing import Literal

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from gradwatch import GradwatchError

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]

STREAM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
ALERT_NAMESPACE = uuid.UUID("6f1d3f2e-6c55-5b0c-9a55-9f2f8a2c7b10")
BARE_RUN = "bare"  # the run of records that came without our headers


class StreamIdError(GradwatchError, ValueError):
    """A stream id that is not valid as path, label and URL."""


class Outcome(StrEnum):
    """What became of a frame."""

    JUDGED = "judged"
    DROPPED = "dropped"
    REJECTED = "rejected"
    FAILED = "failed"  # the networks or the judge could not deal with it; the stream's state began anew


class OutcomeCause(StrEnum):
    """Why a frame was not judged."""

    SUPERSEDED = "superseded"  # a newer frame of its stream replaced it before decoding
    STALE = "stale"  # older than max_frame_age_s before decoding
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too_large"
    BAD_SCHEMA = "bad_schema"
    BROKER_UNAVAILABLE = "broker_unavailable"
    OTHER_RUN = "other_run"  # a newer run of the stream is judged: two sources use one stream id
    JUDGING_ERROR = "judging_error"
    BACK_OFF = "back_off"  # the stream failed shortly before, and waits


class StreamState(StrEnum):
    """The state of a stream's judging."""

    NO_SIGNAL = "no_signal"  # black, one color, frozen or a slate since its start: nothing to calibrate on
    CALIBRATING = "calibrating"
    WATCHING = "watching"
    ALERTING = "alerting"


class AlertKind(StrEnum):
    """What an episode is about."""

    EXPECTANCY_MISMATCH = "expectancy_mismatch"  # a tracked object contradicts the expectation of its track
    DISTRIBUTION_SHIFT = "distribution_shift"  # frames differ from those that the stream was calibrated on


class Severity(StrEnum):
    """How bad an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(StrEnum):
    """An episode's life: opened once, closed once."""

    OPEN = "open"
    CLOSED = "closed"


class ClosedBecause(StrEnum):
    """Why an alert was closed."""

    CLEARED = "cleared"  # the frames are as the calibration expects again
    NEW_RUN = "new_run"  # its source was started again, or another one took over the stream
    SILENT = "silent"  # no frame of the stream has come for worker.close_after_s
    FAILED = "failed"  # the stream's state began anew after a failure of judging


class Disturbance(StrEnum):
    """Faults and events of a stream: its source reports those of the camera, the worker those of the frames."""

    DISCONNECTED = "disconnected"  # the connection was lost, or can't be made
    UNAUTHORIZED = "unauthorized"  # the camera refuses user and password
    NO_FRAMES = "no_frames"  # connected, but no picture arrives
    FROZEN = "frozen"  # pictures arrive and differ by sensor noise only
    BLACK = "black"
    OVEREXPOSED = "overexposed"
    RECONNECTED = "reconnected"
    SIZE_CHANGED = "size_changed"
    CLOCK_JUMP = "clock_jump"  # of the camera's clock against this machine's, or of capture times
    GAP = "gap"  # pictures are missing in between
    CLOCK_STOPPED = "clock_stopped"  # capture times do not advance
    NO_SIGNAL = "no_signal"  # the stream shows nothing that it could calibrate on
    FRAMES_LOST = "frames_lost"  # frames were published and never reach a worker
    OTHER_RUN = "other_run"  # a second source uses the stream id
    JUDGING_FAILED = "judging_failed"  # a frame could not be judged; the stream's state began anew
    ENDED = "ended"  # the source has ended


class DisturbanceState(StrEnum):
    """Whether a disturbance begins, ends, or is a single event."""

    BEGIN = "begin"
    END = "end"
    MOMENT = "moment"


class FrameIdentity(Struct, frozen=True, order=True):
    """The permanent name of a frame: `seq` counts from 0 within a run, a run is one start of a source."""

    stream_id: str
    run_id: str
    seq: int

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.run_id}/{self.seq}"


class FrameStamp(Struct, frozen=True):
    """Everything about a frame but its content: what judging, reports and drops use.

    `capture_ns` is event time on `clock`; `published_ns` is the record's timestamp, always wall clock.
    `partition` and `offset` are -1 until the frame has been read from a topic, `size_bytes` is the content's.
    """

    identity: FrameIdentity
    capture_ns: int
    published_ns: int
    clock: Literal["utc", "media"] = "utc"
    traceparent: str | None = None
    partition: int = -1
    offset: int = -1
    size_bytes: int = 0


class EncodedFrame(Struct, frozen=True):
    """A frame as its camera encoded it: its stamp, and JPEG or PNG bytes that are not decoded yet."""

    stamp: FrameStamp
    content: bytes
    encoding: Literal["image/jpeg", "image/png"] = "image/jpeg"


class ReportedDetections(Struct, frozen=True):
    """Boxes of one frame: `xyxy` (n, 4) px, `score` (n,) in [0, 1], `kind` and `label` n names each.

    `kind` is the detector's class (`sign`, `pedestrian`); `label` is the classifier's class where one
    exists (`stop`, `yield`, …), else the kind again.
    """

    xyxy: Floats
    score: Floats
    kind: list[str]
    label: list[str]


class ReportedTracks(Struct, frozen=True):
    """Tracks alive after one frame, m of them.

    `xyxy` (m, 4) px, `velocity` (m, 2) px/s, `covariance` (m, 4, 4) of (cx, cy, vx, vy), `age_s` (m,),
    `detection_index` (m,) into the frame's detections, -1 for a track without a detection in this frame,
    `expected` the label expected from the track ("" while there is no expectation).
    """

    track_id: list[int]
    kind: list[str]
    xyxy: Floats
    velocity: Floats
    covariance: Floats
    age_s: Floats
    detection_index: Integers
    expected: list[str]


class ReportedForecasts(Struct, frozen=True):
    """Forecast positions of the tracks: T horizons for m tracks, rows as in `ReportedTracks`.

    `mean` (m, T, 2) px, `radius` (m, T) px of the disc that contains the center with probability `coverage_asked`;
    `coverage_achieved` is the share of past regions of this stream that did, NaN before the first could be checked.
    """

    horizon_s: Floats
    mean: Floats
    radius: Floats
    coverage_asked: float
    coverage_achieved: float
    checked: int


class FrameReport(Struct, frozen=True):
    """The result for one frame; every frame gets exactly one report.

    `scores` hold one value per crop or frame, higher = more anomalous; `p_values` hold those
    that could be calibrated, in (0, 1], small = anomalous; a score that does not apply is absent.
    `score_detections` holds, for each score of crops, the detection that each of its values and p-values is about.
    `change` holds the change statistic of each alarm-carrying scorer as a ratio to the threshold that
    raises an alert (1 = at the threshold).
    """

    identity: FrameIdentity
    partition: int
    offset: int
    capture_ns: int
    published_ns: int
    clock: Literal["utc", "media"]
    outcome: Outcome
    state: StreamState
    cause: OutcomeCause | None = None
    width: int = 0
    height: int = 0
    detections: ReportedDetections | None = None
    scores: dict[str, Floats] = field(default_factory=dict)
    p_values: dict[str, Floats] = field(default_factory=dict)
    score_detections: dict[str, Integers] = field(default_factory=dict)
    tracks: ReportedTracks | None = None
    forecasts: ReportedForecasts | None = None
    change: dict[str, float] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)
    alert_ids: list[str] = field(default_factory=list)  # episodes open after this frame
    models_id: str = ""
    calibration_id: str = ""
    configuration_id: str = ""
    traceparent: str | None = None


class Alert(Struct, frozen=True):
    """One revision of one episode; a later revision replaces the earlier ones.

    `carried_by` names the scores whose own change statistic was over its threshold, strongest first: an
    alarm carried by a baseline alone says so. `calibration_note` says how far the calibration supports the
    asked rate ("" when it does).

    The peak is the frame with the largest ratio of a change statistic to its threshold, which is `score`:
    `peak_ratios` and `peak_p_values` hold those of each carrying score in that frame (1 = at the threshold; smallest
    p-value of its crops). `peak_seq` is -1 in alerts of older versions.
    `threshold` is that of the strongest carrier; it and the mean time between false alarms are 0 where an alert is
    closed whose calibration is lost.
    `duration_s` from the onset to the last frame over the threshold is counted on a clock that always advances, so
    it holds where capture times leap.
    """

    alert_id: str
    revision: int
    kind: AlertKind
    severity: Severity
    state: AlertState
    stream_id: str
    run_id: str
    onset_seq: int
    last_seq: int
    onset_capture_ns: int
    last_capture_ns: int
    partition: int
    first_offset: int
    last_offset: int
    score: float  # largest ratio of a change statistic to its threshold so far
    p_value: float  # smallest per-frame p-value of the carrying scores so far
    threshold: float
    mean_time_between_false_alarms_s: float
    carried_by: list[str]
    reason: str
    track_id: int | None = None
    expected: str = ""
    observed: str = ""
    cause: str = "unknown"
    cause_probability: float | None = None
    calibration_note: str = ""
    models_id: str = ""
    calibration_id: str = ""
    configuration_id: str = ""
    traceparent: str | None = None
    peak_seq: int = -1
    peak_capture_ns: int = 0
    peak_ratios: dict[str, float] = field(default_factory=dict)
    peak_p_values: dict[str, float] = field(default_factory=dict)
    duration_s: float = 0.0
    closed_because: ClosedBecause | None = None  # None while it is open


class ClassOverride(Struct, frozen=True, tag_field="kind", tag="override_class"):
    """A reviewer's correction of one track: its class is `label`, or it raises no alerts (`ignore`)."""

    verdict_id: str
    stream_id: str
    author: str
    created_ns: int
    run_id: str
    track_id: int
    label: str


class RegionMute(Struct, frozen=True, tag_field="kind", tag="mute_region"):
    """A reviewer's correction of a part of the picture: detections there raise no expectancy alerts.

    `polygon` (n, 2) px, n >= 3; `object_kinds` names what is muted (`sign`, `pedestrian`), all if empty;
    `until_ns` is capture time, None: until it is withdrawn.
    """

    verdict_id: str
    stream_id: str
    author: str
    created_ns: int
    polygon: list[tuple[float, float]]
    object_kinds: list[str] = field(default_factory=list)
    until_ns: int | None = None


Correction = ClassOverride | RegionMute
IGNORE = "ignore"  # the label of a track that must not raise alerts


class AttachmentKind(StrEnum):
    """What an attachment to an alert is."""

    EVIDENCE = "evidence"  # an MCAP file with the frames and reports around the alert
    EXPLANATION = "explanation"


class Attachment(Struct, frozen=True):
    """A file about one alert, in a folder that the reader knows; of one kind the latest counts.

    `path` is relative to that folder, with `/`; `sha256` is in hexadecimal. `frames` of the span `start_ns` to
    `end_ns` of the run's capture clock are in the file, `missing` of them are not.
    """

    alert_id: str
    revision: int  # of the alert, the latest that the file knows
    kind: AttachmentKind
    stream_id: str
    run_id: str
    path: str
    sha256: str
    size_bytes: int
    frames: int = 0
    missing: int = 0
    start_ns: int = 0
    end_ns: int = 0


class HealthRecord(Struct, frozen=True):
    """A disturbance of a stream that begins, ends or is a single event, reported by its source or by the worker.

    `at_ns` is the wall clock when it was noticed, `since_ns` when it began; `last_seq` is the last frame before it
    in this run, -1 if there was none. `detail` is for people and holds no credential.
    """

    stream_id: str
    run_id: str
    disturbance: Disturbance
    state: DisturbanceState
    at_ns: int
    since_ns: int
    last_seq: int = -1
    detail: str = ""
    reporter: Literal["source", "worker"] = "source"


def check_stream_id(stream_id: str) -> str:
    """Returns `stream_id` if it may name a stream, else raises `StreamIdError`."""
    if STREAM_ID.fullmatch(stream_id) is None:
        raise StreamIdError(f"stream id must match {STREAM_ID.pattern}, got {stream_id[:80]!r}")
    return stream_id


def alert_id(stream_id: str, run_id: str, kind: AlertKind, onset_seq: int) -> str:
    """The deterministic id of an episode: the same frames give the same id after any crash."""
    return str(uuid.uuid5(ALERT_NAMESPACE, f"{stream_id}/{run_id}/{kind}/{onset_seq}"))
