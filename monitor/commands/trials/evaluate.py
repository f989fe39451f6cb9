"""`gradwatch evaluate …`: one command for each question; each writes its report to docs/benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradwatch import MissingFileError
from gradwatch.streams.challenges.table import contact_sheet
from gradwatch.streams.wire.pixels import encode_jpeg

from ...alarms.calibration import check_origin
from ...evaluate import alerts, cameras, challenges, expectancy, faults, observing, recordings, reports
from ...evaluate.curetsd_grid import GRID, clean_cell, read_grid
from ...evaluate.drives import SIZE, pictures_id
from ...evaluate.kept_figures import collect
from ...evaluate.pedestrians import recording as pedestrians
from ...evaluate.pedestrians.report import pedestrians_report
from ...judging.judge import Judge
from ...judging.settings import JudgeSettings
from ...judging.state import dump, load_calibration
from ...worker.build import SHIPPED_CALIBRATION
from ..options import write_json, write_output

evaluate = typer.Typer(help="Evaluate the judge. Slow and resumable: observations are made once and kept.")


def _existing(shared: Path) -> Path:
    if not shared.is_dir():
        raise MissingFileError(
            f"expected the development data at {shared.absolute()}: set --shared or GRADWATCH_SHARED"
        )
    return shared


FolderOption = Annotated[Path, typer.Option(help="Folder that keeps observations.")]
OutOption = Annotated[Path, typer.Option(help="Folder for the report (.md and .json).")]
SharedOption = Annotated[
    Path,
    typer.Option(envvar="GRADWATCH_SHARED", callback=_existing, help="Folder of the development data."),
]
OBSERVATIONS = Path("runs/observations")
SHARED = Path("../shared")
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
    alerts.observe(_folder(folder, judge), ["calibration"])
    clean = alerts.clean_of(_folder(folder, judge), judge, "calibration")
    made = judge.calibrate(clean, "synthetic", clean[0].observation.size)
    write_output(out, dump(made))
    typer.echo(f"calibration {made.calibration_id}: {made.frames} frames, thresholds {made.thresholds}")


@evaluate.command("alerts")
def alerts_command(folder: FolderOption = OBSERVATIONS, out: OutOption = BENCHMARKS) -> None:
    """False alarms an hour on clean drives; detection and delay by challenge and level; each score alone."""
    judge = _judge()
    alerts.observe(_folder(folder, judge))
    calibration = load_calibration(SHIPPED_CALIBRATION.read_bytes())
    check_origin(calibration, judge.origin("synthetic", SIZE))
    figures = alerts.evaluate_alerts(_folder(folder, judge), judge, calibration)
    _write(out, "alerts", figures, reports.alerts_report(figures))


@evaluate.command("expectancy")
def expectancy_command(folder: FolderOption = OBSERVATIONS, out: OutOption = BENCHMARKS) -> None:
    """Signs whose class is swapped in mid-track: recall and delay at one false alarm an hour."""
    judge = _judge()
    alerts.observe(_folder(folder, judge), ["calibration", "clean"])
    figures = expectancy.evaluate_expectancy(_folder(folder, judge), judge)
    _write(out, "expectancy", figures, reports.expectancy_report(figures))


@evaluate.command("recordings")
def recordings_command(
    shared: SharedOption = SHARED,
    folder: FolderOption = Path("runs/recordings"),
    out: OutOption = BENCHMARKS,
) -> None:
    """Real recordings: every frame through a broker; then clear, rainy and dark scenes under one calibration."""
    judge = _judge()
    figures = recordings.evaluate_recordings(shared, _folder(folder, judge), judge)
    _write(out, "recordings", figures, recordings.recordings_report(figures))


@evaluate.command("pedestrians")
def pedestrians_command(
    shared: SharedOption = SHARED,
    folder: FolderOption = Path("runs/recordings"),
    observations: Annotated[Path, typer.Option(help="Folder that keeps observations of drives.")] = OBSERVATIONS,
    drives: Annotated[bool, typer.Option(help="Also evaluate synthetic drives, which takes minutes.")] = True,
    out: OutOption = BENCHMARKS,
) -> None:
    """People in one annotated recording: tracks beside ByteTrack, forecasts, and the scores of single boxes."""
    judge = _judge()
    of_drives = _folder(observations, judge) if drives else None
    figures = pedestrians.evaluate_pedestrians(shared, _folder(folder, judge), of_drives, judge)
    _write(out, "pedestrians", figures, pedestrians_report(figures))


@evaluate.command("challenges")
def challenges_command(
    shared: SharedOption = SHARED,
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
    """A report of what `make test-faults` measured on a real Apache Kafka."""
    figures = collect(folder, faults.COMMAND)
    _write(out, "faults", figures, faults.faults_report(figures))


@evaluate.command("cameras")
def cameras_command(folder: FolderOption = Path("runs/cameras"), out: OutOption = BENCHMARKS) -> None:
    """A report of what `make test-cameras` measured on live cameras."""
    figures = collect(folder, cameras.COMMAND)
    _write(out, "cameras", figures, cameras.cameras_report(figures))


def _write(out: Path, name: str, figures: dict[str, object], report: str) -> None:
    write_json(out / f"{name}.json", figures, indent=1)
    write_output(out / f"{name}.md", report)
    typer.echo(report)
