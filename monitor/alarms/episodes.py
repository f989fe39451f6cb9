"""Alert episodes with hysteresis: a change that lasts opens one, a quiet spell closes it.

Pure and deterministic: the same frames give the same ids, revisions and bodies, so that frames judged again after a
crash give equal alerts.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from gradwatch.streams.wire.messages import (
    Alert,
    AlertKind,
    AlertState,
    ClosedBecause,
    FrameIdentity,
    Severity,
    alert_id,
)

from ..scorers import SCORERS
from .calibration import Calibration
from .policy import Policy

GROWTH = 1.2  # an open alert is revised when its peak has grown by this factor: the statistic is bounded, so seldom
BASELINES_ALONE = " (plain baselines alone; no gradient score is over its threshold)"


class Moment(msgspec.Struct, frozen=True):
    """What an episode needs of one frame."""

    identity: FrameIdentity
    capture_ns: int
    partition: int
    offset: int
    ratios: dict[str, float]  # change statistic / threshold by carrying score
    p_values: dict[str, float] = {}  # smallest in this frame, by carrying score that has one
    track_id: int | None = None
    expected: str = ""
    observed: str = ""
    time_ns: int = 0  # by which the stream is judged: it always advances, capture times may not

    @property
    def p_value(self) -> float:
        """The smallest of all, 1 where there is none."""
        return min(self.p_values.values(), default=1.0)


class Episode(msgspec.Struct, frozen=True):
    """A change under way; `revision` is 0 until it has lasted long enough to be an alert."""

    onset: Moment
    last: Moment  # last frame over the leave ratio
    peak: float
    smallest_p: float
    carried_by: list[str]
    subject: Moment  # the frame whose track the alert names
    revision: int = 0
    severity: Severity = Severity.WARNING
    announced: int = 0  # number of carriers that the last revision named
    announced_peak: float = 0.0  # of the last revision
    top: Moment | None = None  # the frame of the peak; None in states that an older version stored


class Binding(msgspec.Struct, frozen=True):
    """What an alert was judged by."""

    models_id: str
    configuration_id: str
    calibration: Calibration | None  # None where it is lost: an alert must be closed all the same


def advance(
    episode: Episode | None, moment: Moment, kind: AlertKind, policy: Policy, binding: Binding
) -> tuple[Episode | None, Alert | None]:
    """The episode after one frame, and the alert revision that this frame causes."""
    ratio = max(moment.ratios.values(), default=0.0)
    if episode is None:
        if ratio < policy.enter:
            return None, None
        episode = Episode(
            onset=moment,
            last=moment,
            peak=ratio,
            smallest_p=moment.p_value,
            carried_by=_carriers([], moment.ratios, policy.enter),
            subject=moment,
            top=moment,
        )
    elif ratio >= policy.leave:
        episode = replace(
            episode,
            last=moment,
            peak=max(episode.peak, ratio),
            smallest_p=min(episode.smallest_p, moment.p_value),
            carried_by=_carriers(episode.carried_by, moment.ratios, policy.enter),
            subject=moment if ratio > episode.peak and moment.track_id is not None else episode.subject,
            top=moment if ratio > episode.peak else episode.top,
        )
    elif (moment.time_ns - episode.last.time_ns) / 1e9 >= policy.clear_s:
        closed = closing_alert(episode, kind, binding, ClosedBecause.CLEARED) if episode.revision else None
        return None, closed
    return _announce(episode, moment, ratio, kind, policy, binding)


def closing_alert(episode: Episode, kind: AlertKind, binding: Binding, because: ClosedBecause) -> Alert:
    """The last revision of the alert of an episode that ends."""
    return _alert(_revised(episode, episode.severity), kind, binding, because)


def alert_id_of(episode: Episode, kind: AlertKind) -> str:
    """The id of the alert that this episode is or will be."""
    identity = episode.onset.identity
    return alert_id(identity.stream_id, identity.run_id, kind, identity.seq)


def _announce(
    episode: Episode, moment: Moment, ratio: float, kind: AlertKind, policy: Policy, binding: Binding
) -> tuple[Episode | None, Alert | None]:
    """Opens an episode that has lasted, drops one that faded earlier, revises one that has grown."""
    severity = Severity.CRITICAL if episode.peak >= policy.critical else Severity.WARNING
    if episode.revision == 0:
        if ratio < policy.enter:
            return None, None
        if (moment.time_ns - episode.onset.time_ns) / 1e9 < policy.min_duration_s:
            return episode, None
    elif (
        severity == episode.severity
        and len(episode.carried_by) == episode.announced
        and episode.peak < GROWTH * episode.announced_peak
    ):
        return episode, None
    episode = _revised(episode, severity)
    return episode, _alert(episode, kind, binding)


def _revised(episode: Episode, severity: Severity) -> Episode:
    return replace(
        episode,
        revision=episode.revision + 1,
        severity=severity,
        announced=len(episode.carried_by),
        announced_peak=episode.peak,
    )


def _carriers(before: Sequence[str], ratios: dict[str, float], enter: float) -> list[str]:
    """Names of the scores that were over the threshold at any time, those over it now first and strongest first."""
    now = sorted((name for name, ratio in ratios.items() if ratio >= enter), key=lambda name: -ratios[name])
    return now + [name for name in before if name not in now]


def _alert(episode: Episode, kind: AlertKind, binding: Binding, because: ClosedBecause | None = None) -> Alert:
    onset, last, identity = episode.onset, episode.last, episode.onset.identity
    top = episode.top or last
    calibration = binding.calibration
    return Alert(
        alert_id=alert_id_of(episode, kind),
        revision=episode.revision,
        kind=kind,
        severity=episode.severity,
        state=AlertState.OPEN if because is None else AlertState.CLOSED,
        stream_id=identity.stream_id,
        run_id=identity.run_id,
        onset_seq=identity.seq,
        last_seq=last.identity.seq,
        onset_capture_ns=onset.capture_ns,
        last_capture_ns=last.capture_ns,
        partition=onset.partition,
        first_offset=onset.offset,
        last_offset=last.offset,
        score=episode.peak,
        p_value=episode.smallest_p,
        threshold=calibration.thresholds.get(episode.carried_by[0], 0.0) if calibration else 0.0,
        mean_time_between_false_alarms_s=3600 / calibration.false_alarms_per_hour if calibration else 0.0,
        carried_by=episode.carried_by,
        reason=_reason(episode, kind),
        track_id=episode.subject.track_id,
        expected=episode.subject.expected,
        observed=episode.subject.observed,
        calibration_note=calibration.note if calibration else "",
        models_id=binding.models_id,
        calibration_id=calibration.calibration_id if calibration else "",
        configuration_id=binding.configuration_id,
        peak_seq=top.identity.seq,
        peak_capture_ns=top.capture_ns,
        peak_ratios=top.ratios,
        peak_p_values=top.p_values,
        duration_s=(last.time_ns - onset.time_ns) / 1e9,
        closed_because=because,
    )


def _reason(episode: Episode, kind: AlertKind) -> str:
    """One sentence for the person on shift."""
    names = ", ".join(name.replace("_", " ") for name in episode.carried_by)
    alone = "" if any(SCORERS[n].family == "gradient" for n in episode.carried_by) else BASELINES_ALONE
    if kind == AlertKind.EXPECTANCY_MISMATCH:
        subject = episode.subject
        return (
            f"track {subject.track_id} led to expect {subject.expected or 'its class'}, "
            f"then {subject.observed or 'something else'} was seen ({names}){alone}"
        )
    return f"frames differ from the clean ones of this stream, {episode.peak:.1f} x the threshold: {names}{alone}"
