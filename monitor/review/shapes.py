"""The alert as JSON, in the API and in events. Times in ns are decimal strings: JavaScript's numbers lose digits."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from gradwatch.streams.wire.messages import (
    AlertKind,
    AlertState,
    ClosedBecause,
    Disturbance,
    DisturbanceState,
    Severity,
)

NS_SCHEMA = {"type": "string", "pattern": "^-?[0-9]+$", "examples": ["1790000000123456789"]}
Ns = Annotated[int, PlainSerializer(str, str), WithJsonSchema(NS_SCHEMA)]
AlertId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$", examples=["2541c2ee-4512-5ef1-818e-ab7a67646363"])]
StreamId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", examples=["north-gate"])]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]  # PostgreSQL stores no zero bytes
Xyxy = tuple[float, float, float, float]


def finite(number: float | None) -> float | None:
    """`number`, or None for NaN and infinity, which JSON does not have."""
    return float(number) if number is not None and math.isfinite(number) else None


Finite = Annotated[float | None, BeforeValidator(finite)]


class Shape(BaseModel):
    """Base of all answers; made from keywords or from an object's attributes."""

    model_config = ConfigDict(from_attributes=True)


class BrokerShape(Shape):
    """Whether the broker answers; `since_ns` is the wall clock of the last change, `error` is "" while it answers."""

    ok: bool
    since_ns: Ns
    error: str


class DisturbanceShape(Shape):
    """A health record: a fault or event of a camera, noticed by its source or by the worker."""

    disturbance: Disturbance
    state: DisturbanceState
    reporter: str = Field(description="source or worker")
    run_id: str
    at_ns: Ns = Field(description="wall clock: when it was noticed")
    since_ns: Ns
    last_seq: int
    detail: str


class Snooze(Shape):
    """A snooze mutes notification, never detection. `muted_*` count what arrived meanwhile."""

    snooze_id: int
    scope: str = Field(description="alert: this one; camera: this camera's alerts of this kind", examples=["alert"])
    until_ns: Ns | None
    factor: float | None = Field(description="ends once the score exceeds so many times `score`", examples=[1.5])
    score: float
    set_by: str
    set_ns: Ns
    ended_ns: Ns | None
    ended_why: str | None = Field(description="unsnoozed, time, score or replaced")
    muted_alerts: int
    muted_revisions: int = Field(examples=[12])


class Review(Shape):
    """The state of an alert's review; `reviewed` is that of the user who asks."""

    acknowledged_by: str | None
    acknowledged_ns: Ns | None
    assignee: str | None
    is_snoozed: bool
    reviewed: bool


class AlertItem(Shape):
    """An alert in a list. `score` is the largest ratio of a change statistic to its threshold (1 = at it)."""

    alert_id: AlertId
    revision: int
    kind: AlertKind
    severity: Severity
    state: AlertState
    stream_id: StreamId
    run_id: str
    onset_seq: int
    last_seq: int
    onset_capture_ns: Ns
    last_capture_ns: Ns
    raised_ns: Ns = Field(description="wall clock: when the first revision was published; lists are ordered by it")
    changed_ns: Ns
    duration_s: float = Field(description="from the onset to the last frame over the threshold")
    closed_because: ClosedBecause | None = Field(description="null while it is open")
    peak_seq: int | None = Field(description="the frame of `score`; null in alerts of older versions")
    peak_capture_ns: Ns | None
    score: float
    p_value: float
    carried_by: list[str] = Field(examples=[["image_statistics"]])
    carried_by_gradients: bool = Field(description="whether any score that carries it is a gradient score")
    reason: str
    track_id: int | None
    expected: str
    observed: str
    cause: str
    cause_probability: float | None
    challenge: str | None = Field(description="of a replayed recording with ground truth")
    review: Review


class AlertPage(Shape):
    """Alerts, newest first; `next_cursor` asks for older ones."""

    alerts: list[AlertItem]
    next_cursor: str | None


class AlertCounts(Shape):
    """The number of alerts that match the filter; `by` counts them for each value of one filter instead."""

    total: int
    by: dict[str, dict[str, int]] = Field(examples=[{"severity": {"warning": 7, "critical": 2}}])


class Score(Shape):
    """One score of the frame at a revision's peak; null where it did not apply or is not known."""

    name: str = Field(examples=["gradcon_direction"])
    family: str = Field(description="gradient, baseline or unknown", examples=["gradient"])
    value: float | None
    p_value: float | None
    ratio: float | None = Field(description="change statistic / threshold; only of scores that can raise an alert")


class Revision(Shape):
    """One revision as published."""

    revision: int
    published_ns: Ns
    severity: Severity
    state: AlertState
    score: float
    reason: str
    carried_by: list[str]
    closed_because: ClosedBecause | None = None
    peak_seq: int | None = Field(description="the frame of `score`; null in alerts of older versions")
    muted: bool = Field(description="arrived while snoozed: nobody was notified")
    scores: list[Score] | None = Field(description="null where the frame's report was not available")


class Comment(Shape):
    """A comment; plain text, never markup."""

    comment_id: int
    author: str
    at_ns: Ns
    text: str


class Action(Shape):
    """One row of the audit trail."""

    audit_id: int
    at_ns: Ns
    actor: str
    via: str = Field(description="local, session, token, proxy or command")
    action: str
    subject: str
    subject_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AttachmentItem(Shape):
    """What a service attached to the alert; evidence can be downloaded."""

    kind: str = Field(examples=["evidence"])
    published_ns: Ns
    path: str
    sha256: str
    size_bytes: int
    url: str | None = Field(description="where to download the file, null where it can't be")
    body: dict[str, Any] = Field(description="the attachment as published")


class ReviewedBy(Shape):
    """A user who has marked the alert as reviewed."""

    username: str
    at_ns: Ns


class AlertDetail(AlertItem):
    """An alert with everything stored about it."""

    partition: int
    first_offset: int
    last_offset: int
    threshold: float
    mean_time_between_false_alarms_s: float = Field(description="asked of the calibration; see `calibration_note`")
    calibration_note: str = Field(description="how far the calibration supports it; empty where it does")
    models_id: str
    calibration_id: str
    configuration_id: str
    traceparent: str | None
    scores: list[Score] | None = Field(description="at the peak of the newest revision for which they are available")
    scores_seq: int | None = Field(description="their frame; null where they are those of the last frame so far")
    revisions: list[Revision] = Field(description="oldest first")
    comments: list[Comment]
    audit: list[Action]
    attachments: list[AttachmentItem]
    reviewed_by: list[ReviewedBy]
    snooze: Snooze | None = Field(description="the snooze in force")
    snoozes: list[Snooze] = Field(description="snoozes set at this alert, oldest first")
    tags: dict[str, Any] = Field(description="of a replayed recording; empty without ground truth")
    previous: AlertId | None = Field(description="the newer neighbor in the list of the given filter")
    next: AlertId | None = Field(description="the older neighbor")
