from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gradwatch.monitor.alarms.episodes import Binding, Moment, advance, alert_id_of
from gradwatch.monitor.alarms.policy import POLICY, Policy
from gradwatch.streams.wire.messages import AlertKind, AlertState, ClosedBecause, FrameIdentity, Severity, alert_id
from gradwatch.streams.wire.outputs import encode_alert

SHIFT, MISMATCH = AlertKind.DISTRIBUTION_SHIFT, AlertKind.EXPECTANCY_MISMATCH
RULES = Policy(carriers=("gradcon", "msp"), detector="ewma", min_duration_s=0.4, leave=0.6, clear_s=2.0, critical=2.0)
CALIBRATION = SimpleNamespace(
    calibration_id="calibration",
    note="provisional: …",
    thresholds={"gradcon": 3.5, "msp": 2.5},
    false_alarms_per_hour=1.0,
)
BINDING = Binding("models", "configuration", CALIBRATION)
DT_S = 0.2


def moment(seq, ratio, time_s=None, name="gradcon", **about):
    time_s = DT_S * seq if time_s is None else time_s
    ratios = ratio if isinstance(ratio, dict) else {name: ratio}
    identity = FrameIdentity("town", "run", seq)
    about.setdefault("time_ns", round(time_s * 1e9))
    return Moment(
        identity, round(time_s * 1e9), 3, 1000 + seq, ratios, dict.fromkeys(ratios, about.pop("p_value", 0.01)), **about
    )


def play(moments, kind=SHIFT, policy=RULES, episode=None):
    """All alert revisions of the moments, and the episode that is under way at the end."""
    alerts = []
    for now in moments:
        episode, alert = advance(episode, now, kind, policy, BINDING)
        if alert is not None:
            alerts.append(alert)
    return alerts, episode


def ratios(*values, **about):
    return [moment(seq, ratio, **about) for seq, ratio in enumerate(values)]


QUIET = [0.1] * 12  # 2.4 s


def test_quiet_frames_raise_nothing():
    assert play(ratios(*[0.99] * 50)) == ([], None)


def test_opens_once_it_has_lasted():
    alerts, episode = play(ratios(0.1, 0.1, 1.2, 1.3, 1.4, 1.5))
    assert [(a.state, a.revision, a.onset_seq, a.last_seq) for a in alerts] == [(AlertState.OPEN, 1, 2, 4)]
    assert episode.revision == 1


def test_a_change_that_fades_early_is_no_alert():
    assert play(ratios(1.2, 1.2, 0.9, 0.1)) == ([], None)  # also between leave and enter: the claim was not kept up
    alerts, _ = play(ratios(1.2, 1.2, 0.9, 1.2, 1.2, 1.2))
    assert [a.onset_seq for a in alerts] == [3]


def test_without_a_minimum_the_first_frame_opens():
    alerts, _ = play(ratios(0.2, 1.0), policy=replace(RULES, min_duration_s=0.0))
    assert [(a.onset_seq, a.last_seq) for a in alerts] == [(1, 1)]


def test_closes_after_a_quiet_spell_and_not_before():
    alerts, episode = play(ratios(*[1.5] * 5, *[0.1] * 9))  # 1.8 s of quiet
    assert [a.state for a in alerts] == [AlertState.OPEN]
    alerts, episode = play(ratios(*[1.5] * 5, *[0.1] * 10))
    assert [(a.state, a.revision) for a in alerts] == [(AlertState.OPEN, 1), (AlertState.CLOSED, 2)]
    assert alerts[1].closed_because is ClosedBecause.CLEARED
    assert alerts[1].last_seq == 4  # the last frame that was over the leave ratio
    assert episode is None


def test_between_leave_and_enter_it_stays_open():
    alerts, episode = play(ratios(*[1.5] * 3, *[0.7] * 100))
    assert len(alerts) == 1
    assert episode is not None


def test_no_flapping_around_either_threshold():
    around_enter = [1.05, 0.95] * 40
    around_leave = [0.65, 0.55] * 40
    alerts, _ = play(ratios(*[1.5] * 3, *around_enter, *around_leave))
    assert len(alerts) == 1


def test_a_new_change_after_the_close_is_a_new_episode():
    alerts, _ = play(ratios(*[1.5] * 3, *QUIET, *[1.5] * 3))
    assert [(a.state, a.revision) for a in alerts] == [
        (AlertState.OPEN, 1),
        (AlertState.CLOSED, 2),
        (AlertState.OPEN, 1),
    ]
    assert alerts[0].alert_id == alerts[1].alert_id != alerts[2].alert_id


def test_becomes_critical_once_and_stays_so():
    alerts, _ = play(ratios(*[1.5] * 4, 2.5, 1.5, 2.5, 1.5, *QUIET))
    assert [(a.revision, a.severity, a.state) for a in alerts] == [
        (1, Severity.WARNING, AlertState.OPEN),
        (2, Severity.CRITICAL, AlertState.OPEN),
        (3, Severity.CRITICAL, AlertState.CLOSED),
    ]
    assert alerts[1].score == 2.5


def test_goes_on_being_revised_as_its_peak_grows():
    alerts, _ = play(ratios(*[2.5] * 3, 2.9, 3.1, 2.0, 6.0, 2.0, *QUIET))
    assert [(a.severity, a.score, a.peak_seq) for a in alerts] == [
        (Severity.CRITICAL, 2.5, 0),
        (Severity.CRITICAL, 3.1, 4),
        (Severity.CRITICAL, 6.0, 6),
        (Severity.CRITICAL, 6.0, 6),
    ]


def test_the_peak_has_its_own_time_ratios_and_p_values():
    moments = [moment(s, {"gradcon": r, "msp": 0.5}) for s, r in enumerate((1.2, 1.9, 1.4))]
    moments[1] = replace(moments[1], p_values={"gradcon": 0.004})
    (alert,), _ = play(moments)
    assert (alert.peak_seq, alert.peak_capture_ns) == (1, 200_000_000)
    assert (alert.peak_ratios, alert.peak_p_values) == ({"gradcon": 1.9, "msp": 0.5}, {"gradcon": 0.004})
    assert alert.duration_s == pytest.approx(0.4)
    assert alert.closed_because is None


def test_a_critical_change_opens_critical():
    alerts, _ = play(ratios(*[3.0] * 4))
    assert [(a.revision, a.severity) for a in alerts] == [(1, Severity.CRITICAL)]


def test_an_alert_has_subject_times_and_statistics():
    moments = [
        replace(m, p_values={"gradcon": p}) for m, p in zip(ratios(1.2, 1.9, 1.4), (0.02, 0.004, 0.03), strict=True)
    ]
    (alert,), _ = play(moments)
    assert alert.alert_id == alert_id("town", "run", SHIFT, 0)
    assert (alert.stream_id, alert.run_id, alert.kind) == ("town", "run", SHIFT)
    assert (alert.onset_capture_ns, alert.last_capture_ns) == (0, 400_000_000)
    assert (alert.partition, alert.first_offset, alert.last_offset) == (3, 1000, 1002)
    assert (alert.score, alert.p_value, alert.threshold) == (1.9, 0.004, 3.5)
    assert (alert.mean_time_between_false_alarms_s, alert.calibration_note) == (3600.0, "provisional: …")
    assert (alert.models_id, alert.configuration_id, alert.calibration_id) == ("models", "configuration", "calibration")


def test_carried_by_names_what_is_over_its_threshold_strongest_first():
    (alert,), _ = play([moment(s, {"gradcon": 1.1, "msp": 1.8, "energy": 0.9}) for s in range(3)])
    assert alert.carried_by == ["msp", "gradcon"]
    assert alert.threshold == CALIBRATION.thresholds["msp"]


def test_past_carriers_are_listed_after_present_ones():
    alerts, _ = play(
        [*(moment(s, {"msp": 1.5, "gradcon": 0.2}) for s in range(3)), moment(3, {"msp": 0.5, "gradcon": 2.5})]
    )
    assert alerts[-1].carried_by == ["gradcon", "msp"]


def test_a_carrier_that_joins_later_revises_the_alert_once():
    alone, both = {"msp": 1.5, "gradcon": 0.2}, {"msp": 1.4, "gradcon": 1.2}
    alerts, _ = play([moment(s, alone if s < 5 else both) for s in range(12)])
    assert [alert.carried_by for alert in alerts] == [["msp"], ["msp", "gradcon"]]
    assert [alert.revision for alert in alerts] == [1, 2]
    assert "plain baselines alone" in alerts[0].reason
    assert "plain baselines alone" not in alerts[1].reason


def test_the_reason_says_when_plain_baselines_alone_carry_it():
    (alone,), _ = play(ratios(1.5, 1.5, 1.5, name="msp"))
    assert "plain baselines alone" in alone.reason
    (both,), _ = play([moment(s, {"msp": 1.8, "gradcon": 1.1}) for s in range(3)])
    assert "baselines" not in both.reason
    assert "1.8 x the threshold: msp, gradcon" in both.reason


def test_a_mismatch_names_the_track_that_contradicted_most():
    policy = POLICY[MISMATCH]
    frames = [
        moment(0, 1.5, name="expectancy_gradient", track_id=4, expected="stop", observed="yield"),
        moment(1, 1.2, name="expectancy_gradient", track_id=9, expected="parking", observed="hump"),
        moment(2, 2.5, name="expectancy_gradient"),  # the statistic lags: no crop in this frame
    ]
    alerts, _ = play(frames, MISMATCH, policy)
    for alert in alerts:
        assert (alert.track_id, alert.expected, alert.observed) == (4, "stop", "yield")
        assert "track 4 led to expect stop, then yield was seen (expectancy gradient)" in alert.reason
    frames[2] = replace(frames[2], track_id=9, expected="parking", observed="hump")
    assert play(frames, MISMATCH, policy)[0][-1].track_id == 9


def test_scores_that_are_absent_end_an_episode_like_quiet_ones():
    alerts, episode = play([*ratios(1.5, 1.5, 1.5), *(moment(3 + i, {}) for i in range(12))])
    assert [a.state for a in alerts] == [AlertState.OPEN, AlertState.CLOSED]
    assert episode is None


def test_kinds_have_their_own_ids():
    _, episode = play(ratios(1.5))
    assert alert_id_of(episode, SHIFT) != alert_id_of(episode, MISMATCH)


frames = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 0.59, 0.6, 0.8, 0.99, 1.0, 1.3, 2.0, 4.0]), st.floats(0.01, 3.0)),
    max_size=80,
)


def at_times(drawn):
    time_s, result = 0.0, []
    for seq, (ratio, dt_s) in enumerate(drawn):
        time_s += dt_s
        result.append(moment(seq, ratio, time_s))
    return result


@given(frames)
@settings(max_examples=150, deadline=None)
def test_every_alert_is_opened_once_revised_in_order_and_closed_once(drawn):
    moments = at_times(drawn)
    alerts, episode = play(moments)
    lives: dict[str, list] = {}
    for alert in alerts:
        lives.setdefault(alert.alert_id, []).append(alert)
    for number, life in enumerate(lives.values()):
        onset = life[0].onset_seq
        assert {a.onset_seq for a in life} == {onset}
        assert life[0].alert_id == alert_id("town", "run", SHIFT, onset)
        assert [a.revision for a in life] == list(range(1, len(life) + 1))
        states = [a.state for a in life]
        still_open = number == len(lives) - 1 and episode is not None and episode.revision > 0
        assert states[:-1] == [AlertState.OPEN] * (len(life) - 1)
        assert states[-1] == (AlertState.OPEN if still_open else AlertState.CLOSED)
        assert drawn[onset][0] >= RULES.enter
        assert life[0].last_capture_ns - life[0].onset_capture_ns >= RULES.min_duration_s * 1e9
        assert life[-1].score == max(r for r, _ in drawn[onset : life[-1].last_seq + 1])
        severities = [a.severity for a in life]
        assert severities == sorted(severities, key=[Severity.WARNING, Severity.CRITICAL].index)
        assert (severities[-1] == Severity.CRITICAL) == (life[-1].score >= RULES.critical)
    order = [a.alert_id for a in alerts]
    assert order == [a.alert_id for life in lives.values() for a in life]  # one life after the other


@given(frames, st.integers(0, 80))
@settings(max_examples=100, deadline=None)
def test_frames_judged_again_give_equal_alerts(drawn, cut):
    moments = at_times(drawn)
    whole, end = play(moments)
    first, middle = play(moments[:cut])
    second, again = play(moments[cut:], episode=middle)
    assert again == end
    assert [encode_alert(a) for a in first + second] == [encode_alert(a) for a in whole]


@pytest.mark.parametrize("kind", POLICY, ids=str)
def test_the_shipped_policies_make_sense(kind):
    policy = POLICY[kind]
    assert 0 < policy.leave < policy.enter < policy.critical
    assert policy.clear_s > 0 <= policy.min_duration_s
