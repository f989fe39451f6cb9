"""What the API says of alerts. Times in ns are decimal strings, since JavaScript's numbers lose the last digits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from gradwatch.streams.wire.messages import AlertKind, AlertState, Severity

NS_SCHEMA = {"type": "string", "pattern": "^-?[0-9]+$", "examples": ["1790000000123456789"]}
Ns = Annotated[int, PlainSerializer(str, str), WithJsonSchema(NS_SCHEMA)]
AlertId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$", examples=["2541c2ee-4512-5ef1-818e-ab7a67646363"])]
StreamId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", examples=["north-gate"])]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]  # PostgreSQL stores no zero bytes
Xyxy = tuple[float, float, float, float]


class Shape(BaseModel):
    """All shapes read attributes of our own structs too."""

    model_config = ConfigDict(from_attributes=True)


class Snooze(Shape):
    """A silence: it mutes notification, never detection. `muted_*` count what came meanwhile."""

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
    """Where people stand with an alert; `reviewed` is about the one who asks."""

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
    score: float
    p_value: float
    carried_by: list[str] = Field(examples=[["image_statistics"]])
    carried_by_gradients: bool = Field(description="whether any score that carries it has gradients in it")
    reason: str
    track_id: int | None
    expected: str
    observed: str
    cause: str
    cause_probability: float | None
    challenge: str | None = Field(description="of a replayed recording whose truth is known")
    review: Review


class AlertPage(Shape):
    """Newest first; ask again with `next_cursor` for older ones."""

    alerts: list[AlertItem]
    next_cursor: str | None


class AlertCounts(Shape):
    """How many alerts the filter has; `by` says how many it would have with each value of one filter instead."""

    total: int
    by: dict[str, dict[str, int]] = Field(examples=[{"severity": {"warning": 7, "critical": 2}}])


class Score(Shape):
    """One score of the frame that a revision speaks of; null where it did not apply."""

    name: str = Field(examples=["gradcon_direction"])
    family: str = Field(description="gradient, baseline or unknown", examples=["gradient"])
    value: float | None
    p_value: float | None
    ratio: float | None = Field(description="change statistic / threshold; only of scores that may carry an alarm")


class Revision(Shape):
    """One revision as it came."""

    revision: int
    published_ns: Ns
    severity: Severity
    state: AlertState
    score: float
    reason: str
    carried_by: list[str]
    muted: bool = Field(description="came while snoozed: nobody was notified")
    scores: list[Score] | None = Field(description="null where the frame's report was not at hand")


class Comment(Shape):
    """A remark; plain text, never markup."""

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
    """What a service made of the alert; evidence can be downloaded."""

    kind: str = Field(examples=["evidence"])
    published_ns: Ns
    path: str
    sha256: str
    size_bytes: int
    url: str | None = Field(description="where the file is, null where it can't be had from here")
    body: dict[str, Any] = Field(description="all that the service said")


class ReviewedBy(Shape):
    """Who has looked at an alert."""

    username: str
    at_ns: Ns


class AlertDetail(AlertItem):
    """Everything that a person needs to believe an alert, or not."""

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
    scores: list[Score] | None = Field(description="of the newest revision for which they are known")
    revisions: list[Revision] = Field(description="oldest first")
    comments: list[Comment]
    audit: list[Action]
    attachments: list[AttachmentItem]
    reviewed_by: list[ReviewedBy]
    snooze: Snooze | None = Field(description="the silence in force")
    snoozes: list[Snooze] = Field(description="silences that were set at this alert, oldest first")
    tags: dict[str, Any] = Field(description="of a replayed recording; empty where nothing is known")
    previous: AlertId | None = Field(description="the newer neighbor in the list of the filter given")
    next: AlertId | None = Field(description="the older neighbor")
