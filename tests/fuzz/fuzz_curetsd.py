"""Fuzzes what reads the files of CURE-TSD: names of recordings and annotations.

python tests/fuzz/fuzz_curetsd.py -max_total_time=180 CORPUS…        (`make fuzz`)
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(
    include=["gradwatch.streams.recordings.curetsd", "gradwatch.streams.recordings.cure_names"]
):
    from gradwatch.streams.recordings.cure_names import CureNameError
    from gradwatch.streams.recordings.curetsd import AnnotationError, RecordingName, parse_annotation


def test_one_input(data: bytes) -> None:
    """A name and an annotation are parsed, or refused with their documented errors; parsed ones survive writing."""
    try:
        name = RecordingName.parse(data.decode("utf-8", "replace"))
    except CureNameError:
        pass
    else:
        assert RecordingName.parse(str(name)) == name
        assert name.split in ("train", "test")
    try:
        signs = parse_annotation(data, "01_01.txt")
    except AnnotationError:
        pass
    else:
        rows = [
            f"{seq + 1}_{box.sign_type}_{x1:.0f}_{y1:.0f}_{x2:.0f}_{y1:.0f}_{x1:.0f}_{y2:.0f}_{x2:.0f}_{y2:.0f}"
            for seq, boxes in signs.items()
            for box in boxes
            for x1, y1, x2, y2 in [box.xyxy]
        ]
        assert parse_annotation("\n".join(rows).encode(), "again") == signs


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
