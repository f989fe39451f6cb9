"""`gradwatch evaluate …`: one command a question; each writes its report under docs/benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gradwatch.streams.challenges.table import contact_sheet
from gradwatch.streams.wire.pixels import encode_jpeg

from ...alarms.calibration import Calibration, check_origin
from ...evaluate import alerts, cameras, challenges, expectancy, faults, observing, recordings, reports
from ...evaluate.curetsd_grid import GRID, clean_cell, read_grid
from ...evaluate.drives import SIZE, pictures_id
from ...evaluate.kept_figures import collect
from ...evaluate.pedestrians import recording as pedestrians
from ...evaluate.pedestrians.report import pedestrians_report
from ...judging.judge import Judge
from ...judging.settings import JudgeSettings
from ...worker.build import SHIPPED_CALIBRATION
from ...worker.stored_state import dump, load

evaluate = typer.Typer(help="Judge the judge. Slow, resumable: observations are kept in the folder and made once.")

FolderOption = Annotated[Path, typer.Option(help="Where observations are kept.")]
OutOption = Annotated[Path, typer.Option(help="Where the report (.md and .json) is written.")]
OBSERVATIONS = Path("runs/observations")
BENCHMARKS = Path("docs/benchmarks")
PICTURE_QUALITY = 85


def _judge() -> Judge:
    observer = observing.observer()
    return Judge(observer.heads, observer.models_id, JudgeSettings())


def _folder(folder: Path, judge: Judge) -> Path:
    """Observations of other models or other pictures are of no use: one folder for each."""
    return folder / f"{judge.models_id}-{pictures_id()}"


@evaluate.command("calibration")
def calibration_command(folder: FolderOption = OBSERVATIONS, out: Path = SHIPPED_CALIBRATION) -> None:
    """Make the shipped calibration of the synthetic drives anew."""
    judge = _judge()
    alerts.observe(_folder(folder, judge), ["calibration"])
    clean = alerts.clean_of(_folder(folder, judge), judge, "calibration")
    made = judge.calibrate(clean, "synthetic", clean[0].observation.size)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(dump(made))
    typer.echo(f"calibration {made.calibration_id}: {made.frames} frames, thresholds {made.thresholds}")


@evaluate.command("alerts")
def alerts_command(folder: FolderOption = OBSERVATIONS, out: OutOption = BENCHMARKS) -> None:
    """False alarms an hour on clean drives; detection and delay by challenge and level; each score alone."""
    judge = _judge()
    alerts.observe(_folder(folder, judge))
    calibration = load(SHIPPED_CALIBRATION.read_bytes(), Calibration)
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
    shared: Annotated[Path, typer.Option(envvar="GRADWATCH_SHARED", help="Folder of the development data.")] = Path(
        "../shared"
    ),
    folder: FolderOption = Path("runs/recordings"),
    out: OutOption = BENCHMARKS,
) -> None:
    """Real recordings: every frame through the broker; then clear, rainy and dark scenes under one calibration."""
    judge = _judge()
    figures = recordings.evaluate_recordings(shared, _folder(folder, judge), judge)
    _write(out, "recordings", figures, recordings.recordings_report(figures))


@evaluate.command("pedestrians")
def pedestrians_command(
    shared: Annotated[Path, typer.Option(envvar="GRADWATCH_SHARED", help="Folder of the development data.")] = Path(
        "../shared"
    ),
    folder: FolderOption = Path("runs/recordings"),
    observations: Annotated[Path, typer.Option(help="Where observations of drives are kept.")] = OBSERVATIONS,
    drives: Annotated[bool, typer.Option(help="Also synthetic drives: minutes of observing.")] = True,
    out: OutOption = BENCHMARKS,
) -> None:
    """People in one annotated recording: tracks beside ByteTrack, forecasts, and the scores of single boxes."""
    judge = _judge()
    of_drives = _folder(observations, judge) if drives else None
    figures = pedestrians.evaluate_pedestrians(shared, _folder(folder, judge), of_drives, judge)
    _write(out, "pedestrians", figures, pedestrians_report(figures))


@evaluate.command("challenges")
def challenges_command(
    shared: Annotated[Path, typer.Option(envvar="GRADWATCH_SHARED", help="Folder of the development data.")] = Path(
        "../shared"
    ),
    out: OutOption = BENCHMARKS,
    picture: Annotated[Path, typer.Option(help="Where all challenges are drawn on one frame.")] = Path(
        "docs/pictures/challenges.jpg"
    ),
) -> None:
    """The twelve challenges beside CURE-TSD's published grid: severity cell by cell, and time per frame."""
    figures = challenges.evaluate_challenges(clean_cell(read_grid(shared / GRID)))
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(encode_jpeg(contact_sheet(challenges.sample_frame(), challenges.SEED), PICTURE_QUALITY))
    _write(out, "challenges", figures, challenges.challenges_report(figures))


@evaluate.command("faults")
def faults_command(folder: FolderOption = Path("runs/faults"), out: OutOption = BENCHMARKS) -> None:
    """What `make test-faults` measured on a real Apache Kafka, as one report."""
    figures = collect(folder, faults.COMMAND)
    _write(out, "faults", figures, faults.faults_report(figures))


@evaluate.command("cameras")
def cameras_command(folder: FolderOption = Path("runs/cameras"), out: OutOption = BENCHMARKS) -> None:
    """What `pytest -m faults tests/cameras` measured on live cameras, as one report."""
    figures = collect(folder, cameras.COMMAND)
    _write(out, "cameras", figures, cameras.cameras_report(figures))


def _write(out: Path, name: str, figures: dict[str, object], report: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
    (out / f"{name}.md").write_text(report)
    typer.echo(report)
