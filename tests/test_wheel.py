"""What the wheel contains: all that a worker and its services need at run time, and no training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .places import ROOT

pytestmark = pytest.mark.service
TRAINING = "gradwatch/models/training/"
BUILD = "from setuptools import setup; setup()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that setuptools puts into the wheel, without building the archive."""
    pytest.importorskip("setuptools", minversion="77", reason="builds with setuptools, as pip does")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-c", BUILD, "-q", "build_py", "--build-lib", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope="module")
def built(installed: Path) -> set[str]:
    """Paths of these files."""
    return {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}


def sources(pattern: str) -> set[str]:
    """Files of the three packages as they would be named in the wheel."""
    found = (path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern) if path.is_file())
    return {f"gradwatch/{path}" for path in found if "__pycache__" not in path}


def test_every_module_but_training_is_in_the_wheel(built: set[str]) -> None:
    modules = {path for package in ("streams", "models", "monitor") for path in sources(f"{package}/**/*.py")}
    expected = {path for path in modules if not path.startswith(TRAINING)} | {
        "gradwatch/__init__.py",
        "gradwatch/ranges.py",
    }
    assert {path for path in built if path.endswith(".py")} == expected


def test_training_is_not_in_the_wheel(built: set[str]) -> None:
    assert sources("models/training/splits.csv") == {f"{TRAINING}splits.csv"}
    assert not [path for path in built if path.startswith(TRAINING)]


@pytest.mark.parametrize(
    "pattern",
    [
        "models/weights/*",
        "monitor/alarms/calibrations/synthetic.calibration",
        "monitor/demo/recordings/*",
        "monitor/review/migrations/script.py.mako",
        "monitor/review/page/**/*",
    ],
)
def test_files_that_are_read_at_run_time_are_in_the_wheel(built: set[str], pattern: str) -> None:
    assert sources(pattern)
    assert sources(pattern) <= built


def test_the_shipped_calibration_and_the_demo_s_recording_are_found_outside_of_the_sources(
    installed: Path, tmp_path: Path
) -> None:
    """What `gradwatch demo` and `calibration: shipped` need: the calibration fits the weights beside it."""
    code = """
from gradwatch.monitor.config import from_tree
from gradwatch.monitor.demo.pictures import MOTORWAY
from gradwatch.monitor.worker.build import build_judge, build_observer, load_calibrations
configuration = from_tree({"streams": {"town": {"calibration": "shipped", "source": "synthetic"}}})
print(MOTORWAY.is_file(), *load_calibrations(configuration, build_judge(configuration, build_observer(configuration))))
"""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r})\n{code}"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["True", "town"], run.stderr


def test_the_wheel_is_typed(built: set[str]) -> None:
    assert "gradwatch/py.typed" in built
