"""Writes the first inputs of the fuzzers, made from the golden files and the table of bad records.

python -m tests.fuzz.seed_corpus FOLDER        writes FOLDER/codec and FOLDER/curetsd
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..places import GOLDEN
from ..streams.wire.bad_records import BAD, GOOD

FRAME, PICTURE, REPORT, ALERT, LETTER = (bytes([i]) for i in range(5))  # places in fuzz_codec.READERS


def seeds() -> dict[str, list[bytes]]:
    """Inputs by fuzzer."""
    wires = [*BAD.values(), *GOOD.values()]
    values = {wire.value or b"" for wire in wires if len(wire.value or b"") < 20_000}
    rows = b"001_09_942_593_958_593_942_608_958_608\n240_14_1033_214_1095_214_1033_293_1095_293\n"
    header = b"frameNumber_signType_llx_lly_lrx_lry_ulx_uly_urx_ury\n"
    codec = [PICTURE + value for value in values] + [FRAME + value[:500] for value in values]
    codec += [REPORT + (GOLDEN / "report.msgpack").read_bytes(), ALERT + (GOLDEN / "alert.json").read_bytes()]
    codec += [LETTER + bytes(range(64)), FRAME + (GOLDEN / "frame_headers.json").read_bytes()]
    return {"codec": codec, "curetsd": [b"01_04_01_09_03.mp4", b"02_02_00_00_00", header + rows, rows, header]}


def write(folder: Path) -> None:
    """Writes one file a seed."""
    for fuzzer, inputs in seeds().items():
        (folder / fuzzer).mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(inputs):
            (folder / fuzzer / f"seed-{number:03d}").write_bytes(content)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
