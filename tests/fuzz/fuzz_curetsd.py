"""Fuzzes what reads the files of CURE-TSD: names of recordings and annotations.

python tests/fuzz/fuzz_curetsd.py -max_total_time=180 CORPUS…        (`make fuzz`)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gradwatch.streams.recordings.curetsd"]):
    from gradwatch.streams.recordings.curetsd import (
        AnnotationError,
        RecordingName,
        RecordingNameError,
        parse_annotation,
        write_annotation,
    )

WRITTEN = Path(tempfile.mkdtemp()) / "01_01.txt"


def test_one_input(data: bytes) -> None:
    """A name and an annotation are read, or refused by the errors that they name; what is read survives writing."""
    try:
        name = RecordingName.parse(data.decode("utf-8", "replace"))
    except RecordingNameError:
        pass
    else:
        assert RecordingName.parse(str(name)) == name
        assert name.split in ("train", "test")
    try:
        truth = parse_annotation(data, "01_01.txt")
    except AnnotationError:
        pass
    else:
        write_annotation(WRITTEN, truth)
        assert parse_annotation(WRITTEN.read_bytes(), "again").boxes == truth.boxes


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
