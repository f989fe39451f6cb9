"""`gradwatch evaluate recordings`: real frames through a real broker, and real weather judged as it is.

Two halves. Every recording is replayed through an embedded broker to a worker with the policy `every_frame`,
which must publish one report per frame. The clips of known weather are also observed once, and judged under a
calibration made of the first two thirds of one clear clip. Nothing is tuned on any recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradwatch import MissingFileError
from gradwatch.streams.recordings.video import video
from gradwatch.streams.wire.messages import AlertState

from ..judging.judge import Judge, Judgement
from ..judging.offline import Observed, clean_frames
from . import store
from .observing import judge_calibrated, observe_all, observer
from .replaying import broker_figures, coverage, draw_stills, replay
from .reports import Figures, counts, render, table


class Recording(NamedTuple):
    """One recording of the folder of recordings."""

    path: str  # below that folder
    weather: str = ""  # empty: only replayed through the broker


RECORDINGS = {
    "pets_a": Recording("data/pets09_s2l1/pets_a.mp4"),
    "solidWhiteRight": Recording("data/videos/solidWhiteRight.mp4"),
    "clear_seattlestreet1": Recording("data/real_weather/clips/clear_seattlestreet1.mp4", "clear"),
    "clear_countryroad": Recording("data/real_weather/clips/clear_countryroad.mp4", "clear"),
    "lens_rain_rainy": Recording("data/real_weather/clips/lens_rain_rainy.mp4", "rain"),
    "night_night": Recording("data/real_weather/clips/night_night.mp4", "dark"),
}
CLIPS = tuple(name for name, recording in RECORDINGS.items() if recording.weather)
CALIBRATED_ON = "clear_seattlestreet1"  # its first two thirds


def evaluate_recordings(recordings: Path, folder: Path, judge: Judge) -> Figures:
    """Both halves: `through_broker` and `weather`, each by recording. Raises MissingFileError.

    `recordings` is the folder of recordings; observations and stills are kept in `folder`, one for each set of models.
    """
    check_recordings(recordings, [recording.path for recording in RECORDINGS.values()])
    through_broker = {}
    for name, recording in RECORDINGS.items():
        replayed = replay(name, recordings / recording.path)
        draw_stills(recordings / recording.path, replayed.reports, folder / "stills", "broker")
        through_broker[name] = broker_figures(replayed.reports, replayed.frames) | {
            "seconds": round(replayed.worked_s, 1),
            "broker_mib": replayed.broker_mib,
        }
    weather, judgements = judge_weather(observed_recordings(recordings, folder, CLIPS), judge)
    for name, judged in judgements.items():
        reports = [judgement.report for judgement in judged]
        draw_stills(recordings / RECORDINGS[name].path, reports, folder / "stills", "judged")
    return {"models_id": judge.models_id, "through_broker": through_broker, "weather": weather}


def check_recordings(recordings: Path, paths: Iterable[str]) -> None:
    """Raises MissingFileError that names those of `paths` that are not in the folder `recordings`."""
    missing = [path for path in paths if not (recordings / path).is_file()]
    if missing:
        raise MissingFileError(f"expected these files in the folder of recordings {recordings}: {', '.join(missing)}")


def observed_recordings(recordings: Path, folder: Path, names: Iterable[str]) -> dict[str, list[Observed]]:
    """Every frame of the named recordings, observed; observations are kept in `folder`."""
    paths = {name: folder / f"{name}.recording" for name in names}
    wanted = {path: (recordings / RECORDINGS[name].path, name) for name, path in paths.items()}
    store.run_units(_observe_recording, wanted)
    return {name: store.load(path, name) for name, path in paths.items()}


def _observe_recording(path: Path, recording: Path, name: str) -> None:
    store.save(path, observe_all(video(recording), observer(), name))


def judge_weather(clips: dict[str, list[Observed]], judge: Judge) -> tuple[Figures, dict[str, list[Judgement]]]:
    """Judges the clips under one calibration, made of the first two thirds of `CALIBRATED_ON`, and its last third.

    The clips are treated as the same source although each shows another scene.
    """
    street = clips[CALIBRATED_ON]
    cut = 2 * len(street) // 3
    calibration = judge.calibrate(clean_frames(street[:cut], judge), CALIBRATED_ON, street[0][1].size)
    judged = {CALIBRATED_ON: street[cut:]} | {name: clip for name, clip in clips.items() if name != CALIBRATED_ON}
    judgements = {name: list(judge_calibrated(clip, judge, calibration)) for name, clip in judged.items()}
    figures: Figures = {
        "calibration": {
            "frames": calibration.frames,
            "seconds": calibration.frames * calibration.interval_s,
            "note": calibration.note,
            "thresholds": calibration.thresholds,
        },
        "clips": {name: clip_figures(results) for name, results in judgements.items()},
    }
    return figures, judgements


def clip_figures(judgements: list[Judgement]) -> Figures:
    """Alerts of one clip, time and carriers of the first, and the range of its change statistics.

    `ratios` has {median, max} of each carrying score's change statistic over its threshold: 1 = at it.
    """
    reports = [judgement.report for judgement in judgements]
    opened = [alert for v in judgements for alert in v.alerts if alert.state == AlertState.OPEN and alert.revision == 1]
    start_ns = reports[0].capture_ns
    names = sorted({name for report in reports for name in report.change})
    return {
        "frames": len(reports),
        "seconds": (reports[-1].capture_ns - start_ns) / 1e9,
        "alerts": len(opened),
        "alerts_by_kind": dict(Counter(str(alert.kind) for alert in opened)),
        "first_alert_s": (opened[0].last_capture_ns - start_ns) / 1e9 if opened else None,
        "first_alert_frame": opened[0].last_seq - reports[0].identity.seq if opened else None,
        "carried_by": opened[0].carried_by if opened else [],
        "share_alerting": float(np.mean([bool(report.alert_ids) for report in reports])),
        "ratios": {
            name: {"median": float(np.median(values)), "max": float(np.max(values))}
            for name in names
            for values in [[report.change[name] for report in reports if name in report.change]]
        },
    }


# -- the report --------------------------------------------------------------------------------------------------


def recordings_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate recordings`."""
    return render(
        "Real recordings",
        "gradwatch evaluate recordings",
        f"Models {figures['models_id']}. Nothing is tuned on these recordings.",
        *_broker_section(figures["through_broker"]),
        *_weather_section(figures["weather"]),
    )


def _broker_section(through_broker: Figures) -> list[str | list[str]]:
    header = ["recording", "frames", "reports", "one a frame", "outcomes", "states", "alerts", "tracks"]
    rows = [
        [
            name,
            str(one["frames"]),
            str(one["reports"]),
            "yes" if one["one_report_a_frame"] else "**no**",
            counts(one["outcomes"]),
            counts(one["states"]),
            f"{one['alerts']} {' + '.join(one['over_threshold'])}".strip(),
            str(one["tracks"]),
            coverage(one),
        ]
        for name, one in through_broker.items()
    ]
    return [
        "## Through the broker, every frame",
        "Embedded broker, worker with `--policy every_frame`, default settings: a stream calibrates on its own first "
        "300 frames and is watched from then on.",
        table([*header, "coverage of regions"], rows),
        "Regions are those of the Kalman filter, not calibrated: the coverage is the one that the last report states, "
        "of the filtered centers at horizons up to 2 s.",
    ]


def _weather_section(weather: Figures) -> list[str | list[str]]:
    calibration = weather["calibration"]
    other_clear = [name for name in CLIPS if RECORDINGS[name].weather == "clear" and name != CALIBRATED_ON]
    header = ["clip", "weather", "s", "alerts", "first alert after", "carried by", "time alerting"]
    rows = [
        [
            name + (" (last third)" if name == CALIBRATED_ON else ""),
            RECORDINGS[name].weather,
            f"{one['seconds']:.1f}",
            counts(one["alerts_by_kind"]) or "0",
            "-" if one["first_alert_s"] is None else f"{one['first_alert_s']:.2f} s (frame {one['first_alert_frame']})",
            " + ".join(one["carried_by"]) or "-",
            f"{100 * one['share_alerting']:.0f} %",
            "; ".join(f"{n} {r['median']:.2f} / {r['max']:.2f}" for n, r in one["ratios"].items()),
        ]
        for name, one in weather["clips"].items()
    ]
    return [
        "## Real weather, calibrated on one clear clip",
        f"Calibrated on the first two thirds of {CALIBRATED_ON}: {calibration['frames']} frames, "
        f"{calibration['seconds']:.1f} s; {calibration['note'] or 'the frames support the asked rate'}. The other "
        "clips are other scenes, judged as if they were the same source; an alarm in clear weather "
        f"({', '.join(other_clear)}) is about the place and not about the weather.",
        table([*header, "statistic / threshold (median / max)"], rows),
        "An evidence is capped, and so is its mean: a statistic can't go much further over a threshold that a short "
        "calibration has put near the cap. Scores that carry nothing here may only have too high a threshold.",
    ]
