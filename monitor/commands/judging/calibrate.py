"""`gradwatch calibrate`: a calibration file for one stream from its own clean recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console

from gradwatch.ranges import FrameNumber, FrameRate
from gradwatch.streams.recordings.played import Playback, PlayedSource
from gradwatch.streams.sources import open_source
from gradwatch.streams.wire.messages import check_stream_id

from ...alarms.calibration import Calibration, CleanFrame, FalseAlarmRate
from ...evaluate.observing import observe_all
from ...judging.offline import clean_frames
from ...worker.build import build_judge, build_observer
from ...worker.stored_state import dump
from ..options import (
    ConfigOption,
    TopicOption,
    TrackOption,
    load_configuration,
    numeric,
    refuse_overwriting,
    write_output,
)
from ..progress import counted


def calibrate(
    recordings: Annotated[list[Path], typer.Argument(help="Clean recordings of this camera: videos or folders.")],
    source: Annotated[str, typer.Option(help="Id of the stream that may use the file.")],
    out: Annotated[Path, typer.Option(help="The calibration file to write.")],
    config: ConfigOption = None,
    rate: Annotated[
        float | None, numeric(FrameRate, "Frames a second; capture time follows. Default: their own.")
    ] = None,
    first: Annotated[int, numeric(FrameNumber, "First frame of each, from 0.")] = 0,
    last: Annotated[int | None, numeric(FrameNumber, "Last frame of each, included.")] = None,
    topic: TopicOption = None,
    track: TrackOption = None,
    false_alarms_per_hour: Annotated[float | None, numeric(FalseAlarmRate, "Overrides judge.alarms.")] = None,
) -> None:
    """Calibrate a stream on clean recordings of its own camera; that they are clean is not checked."""
    check_stream_id(source)
    refuse_overwriting(out, recordings)
    configuration = load_configuration(config)
    if false_alarms_per_hour is not None:
        alarms = replace(configuration.judge.alarms, false_alarms_per_hour=false_alarms_per_hour)
        configuration = replace(configuration, judge=replace(configuration.judge, alarms=alarms))
    observer = build_observer(configuration)
    judge = build_judge(configuration, observer)
    console = Console(stderr=True)
    clean: list[CleanFrame] = []
    for segment, recording in enumerate(recordings):
        frames = open_source(recording, Playback(rate, first, last), None, topic=topic, track=track)
        with counted(frames, f"{recording.name} ({segment + 1} of {len(recordings)})") as shown:
            clean += clean_frames(observe_all(shown, observer, "calibration"), judge, segment)
        if isinstance(frames, PlayedSource) and frames.dropped:
            dropped = ", ".join(f"{count} {cause}" for cause, count in frames.dropped.items())
            console.print(f"{recording.name}: passed over: {dropped}", soft_wrap=True, markup=False)
    calibration = judge.calibrate(clean, source, clean[0].observation.size if clean else (0, 0))
    write_output(out, dump(calibration))
    console.print(describe(calibration), f"written to {out}", sep="\n", soft_wrap=True)


def describe(calibration: Calibration) -> str:
    """The frames of a calibration, the false alarm rate asked of it, and the scores that support it."""
    able = ", ".join(calibration.thresholds) or "no score: each has too few values"
    return "\n".join(
        [
            f"calibration {calibration.calibration_id} of {calibration.origin.source}: {calibration.frames} frames, "
            f"{calibration.frames * calibration.interval_s:.0f} s",
            f"asked: {calibration.false_alarms_per_hour:g} false alarms an hour; scores that can raise alarms: {able}",
            calibration.note or "the frames support this rate",
        ]
    )
