"""`gradwatch evaluate …`: one command per question; each writes its report under docs/benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradwatch import MissingFileError
from gradwatch.streams.challenges.table import contact_sheet
from gradwatch.streams.wire.pixels import encode_jpeg

from ...alarms.calibration import Calibration, check_origin
from ...evaluate import alerts, challenges, expectancy, observing, recordings
from ...evaluate.alerts_report import alerts_report
from ...evaluate.curetsd_grid import GRID, clean_cell, read_grid
from ...evaluate.drives import SIZE, pictures_id
from ...evaluate.kept_figures import collect, kept_report
from ...evaluate.pedestrians.recording import evaluate_pedestrians
from ...evaluate.pedestrians.report import pedestrians_report
from ...evaluate.reports import Figures, write
from ...judging.judge import Judge
from ...judging.settings import JudgeSettings
from ...worker.build import SHIPPED_CALIBRATION
from ...worker.stored_state import dump, load
from ..options import write_output

evaluate = typer.Typer(help="Evaluate the monitor. Slow, resumable: observations are made once and kept in a folder.")

FolderOption = Annotated[Path, typer.Option(help="Where observations are kept.")]
OutOption = Annotated[Path, typer.Option(help="Where the report (.md and .json) is written.")]


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise MissingFileError(
            f"expected the folder of recordings at {folder.absolute()}: set --shared or GRADWATCH_SHARED"
        )
    return folder


RecordingsOption = Annotated[
    Path,
    typer.Option(
        "--shared", envvar="GRADWATCH_SHARED", callback=_existing, help="The folder of recordings, above data/."
    ),
]
RECORDINGS = Path("../shared")
OBSERVATIONS, OBSERVED_RECORDINGS = Path("runs/observations"), Path("runs/recordings")
BENCHMARKS = Path("docs/benchmarks")
PICTURE_QUALITY = 85


def _judge() -> Judge:
    observer = observing.observer()
    return Judge(observer.heads, observer.models_id, JudgeSettings())


def _folder(folder: Path, judge: Judge) -> Path:
    """The folder for observations of these models and pictures."""
    return folder / f"{judge.models_id}-{pictures_id()}"


@evaluate.command("calibration")
def calibration_command(folder: FolderOption = OBSERVATIONS, out: Path = SHIPPED_CALIBRATION) -> None:
    """Make the shipped calibration of the synthetic drives again."""
    judge = _judge()
    observed = _folder(folder, judge)
    alerts.observe(observed, ["calibration"])
    clean = alerts.clean_of(observed, judge, "calibration")
    made = judge.calibrate(clean, "synthetic", clean[0].observation.size)
    write_output(out, dump(made))
    typer.echo(f"calibration {made.calibration_id}: {made.frames} frames, thresholds {made.thresholds}")


@evaluate.command("alerts")
def alerts_command(folder: FolderOption = OBSERVATIONS, out: OutOption = BENCHMARKS) -> None:
    """False alarms per hour on clean drives; detection and delay by challenge and level; each score alone."""
    judge = _judge()
    observed = _folder(folder, judge)
    alerts.observe(observed)
    calibration = load(SHIPPED_CALIBRATION.read_bytes(), Calibration)
    check_origin(calibration, judge.origin("synthetic", SIZE))
    figures = alerts.evaluate_alerts(observed, judge, calibration)
    _write(out, "alerts", figures, alerts_report(figures))


@evaluate.command("expectancy")
def expectancy_command(folder: FolderOption = OBSERVATIONS, out: OutOption = BENCHMARKS) -> None:
    """Signs whose class is swapped in mid-track: recall and delay at one false alarm per hour."""
    judge = _judge()
    observed = _folder(folder, judge)
    alerts.observe(observed, ["calibration", "clean"])
    figures = expectancy.evaluate_expectancy(observed, judge)
    _write(out, "expectancy", figures, expectancy.expectancy_report(figures))


@evaluate.command("recordings")
def recordings_command(
    shared: RecordingsOption = RECORDINGS,
    folder: FolderOption = OBSERVED_RECORDINGS,
    out: OutOption = BENCHMARKS,
) -> None:
    """Real recordings: every frame through a broker; then clear, rainy and dark scenes under one calibration."""
    judge = _judge()
    figures = recordings.evaluate_recordings(shared, _folder(folder, judge), judge)
    _write(out, "recordings", figures, recordings.recordings_report(figures))


@evaluate.command("pedestrians")
def pedestrians_command(
    shared: RecordingsOption = RECORDINGS,
    folder: FolderOption = OBSERVED_RECORDINGS,
    observations: Annotated[Path, typer.Option(help="Where observations of drives are kept.")] = OBSERVATIONS,
    drives: Annotated[bool, typer.Option(help="Also evaluate synthetic drives: takes minutes to observe.")] = True,
    out: OutOption = BENCHMARKS,
) -> None:
    """People in one annotated recording: tracks beside ByteTrack, forecasts, and the scores of single boxes."""
    judge = _judge()
    of_drives = _folder(observations, judge) if drives else None
    figures = evaluate_pedestrians(shared, _folder(folder, judge), of_drives, judge)
    _write(out, "pedestrians", figures, pedestrians_report(figures))


@evaluate.command("challenges")
def challenges_command(
    shared: RecordingsOption = RECORDINGS,
    out: OutOption = BENCHMARKS,
    picture: Annotated[Path, typer.Option(help="File for one frame under all challenges.")] = Path(
        "docs/pictures/challenges.jpg"
    ),
) -> None:
    """The twelve challenges beside CURE-TSD's published grid: severity cell by cell, and time per frame."""
    figures = challenges.evaluate_challenges(clean_cell(read_grid(shared / GRID)))
    write_output(picture, encode_jpeg(contact_sheet(challenges.sample_frame(), challenges.SEED), PICTURE_QUALITY))
    _write(out, "challenges", figures, challenges.challenges_report(figures))


@evaluate.command("faults")
def faults_command(folder: FolderOption = Path("runs/faults"), out: OutOption = BENCHMARKS) -> None:
    """The figures of `make test-faults` on a real Apache Kafka, as one report."""
    _report_kept_figures("faults", folder, out)


@evaluate.command("cameras")
def cameras_command(folder: FolderOption = Path("runs/cameras"), out: OutOption = BENCHMARKS) -> None:
    """The figures of `make test-cameras` on live cameras, as one report."""
    _report_kept_figures("cameras", folder, out)


def _report_kept_figures(name: str, folder: Path, out: Path) -> None:
    figures = collect(name, folder)
    _write(out, name, figures, kept_report(name, figures))


def _write(out: Path, name: str, figures: Figures, report: str) -> None:
    write(figures, report, out / f"{name}.json", out / f"{name}.md")
    typer.echo(report)
