"""The permitted use of each file of development data: training, calibration or judging only; see `splits.csv`.

One row is one file, or frames `first` to `last` (both included) of a video. Near-duplicates share a group, and a
group that is trained on has no other use. A file is identified by its path below the data folder or, for a copy
elsewhere, by its content. `python -m gradwatch.models.training.splits DATA_FOLDER` writes the table again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from gradwatch import GradwatchError

from .sign_pictures import write_table

TABLE = Path(__file__).with_name("splits.csv")
USES = ("train", "calibrate", "judge")
END = 2**62  # number of a frame after all frames
HASH_DIGITS = 16  # of SHA-256: enough to detect accidents


class SplitError(GradwatchError, ValueError):
    """Data without a known use, or a table that contradicts itself."""


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One line of `splits.csv`; `first` and `last` are None for a file that is used as a whole."""

    path: str
    sha256: str
    first: int | None
    last: int | None
    use: str
    group: str
    note: str = ""

    def covers(self, first: int, last: int) -> bool:
        """Whether any of the frames first to last is in this row."""
        return self.first is None or self.last is None or (first <= self.last and self.first <= last)


@lru_cache(maxsize=1)
def read_splits() -> tuple[SplitRow, ...]:
    """The checked-in table, checked."""
    rows = parse_splits(TABLE.read_text(encoding="utf-8"))
    check_splits(rows)
    return rows


def parse_splits(text: str) -> tuple[SplitRow, ...]:
    """The rows in the text of a table. Raises SplitError for other columns."""
    reader = csv.DictReader(io.StringIO(text))
    expected = [field.name for field in fields(SplitRow)]
    if reader.fieldnames != expected:
        raise SplitError(f"splits must have the columns {expected}, got {reader.fieldnames}")
    rows = [row | {name: row[name] or None for name in ("first", "last")} for row in reader]
    return msgspec.convert(rows, tuple[SplitRow, ...], strict=False)


def check_splits(rows: Iterable[SplitRow]) -> None:
    """Raises SplitError for an unknown use, overlapping frames, or a group with another use besides training."""
    by_content: dict[str, list[SplitRow]] = defaultdict(list)
    by_group: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.use not in USES:
            raise SplitError(f"use of {row.path} must be one of {', '.join(USES)}, got {row.use!r}")
        for other in by_content[row.sha256]:  # copies of one file may have several paths, but one use
            overlap = other.covers(row.first or 0, END if row.last is None else row.last)
            if overlap and (other.path == row.path or other.use != row.use):
                raise SplitError(
                    f"{_range(other)} of {other.path} ({other.use}) overlap {_range(row)} of {row.path} ({row.use})"
                )
        by_content[row.sha256].append(row)
        by_group[row.group].add(row.use)
    for group, uses in by_group.items():
        if "train" in uses and len(uses) > 1:
            raise SplitError(f"group {group!r} is trained on and also used to {', '.join(sorted(uses - {'train'}))}")


def content_hash(path: Path) -> str:
    """The first 16 hexadecimal digits of the file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:HASH_DIGITS]


def use_of(path: Path | str, frame: int | None = None) -> str:
    """`train`, `calibrate` or `judge`.

    Raises SplitError for unknown data, and for a video with several uses unless `frame` is one of its frames.
    """
    span = (0, END) if frame is None else (frame, frame)
    rows = _rows_of(path)
    uses = {row.use for row in rows if row.covers(*span)}
    if len(uses) == 1:
        return uses.pop()
    if not uses:
        raise SplitError(f"frame {frame} of {path} is in no row of {TABLE.name}")
    raise SplitError(
        f"{path} has several uses, name the frame: {', '.join(f'{_range(row)} {row.use}' for row in rows)}"
    )


def _range(row: SplitRow) -> str:
    return "the whole file" if row.first is None else f"frames {row.first}-{row.last}"


@lru_cache(maxsize=1)
def _index() -> dict[str, list[SplitRow]]:
    """The rows of the checked-in table by path and by hash."""
    index: dict[str, list[SplitRow]] = defaultdict(list)
    for row in read_splits():
        index[row.path].append(row)
        index[row.sha256].append(row)
    return dict(index)


def _rows_of(path: Path | str) -> list[SplitRow]:
    parts = Path(path).parts
    for start in range(len(parts)):
        if rows := _index().get("/".join(parts[start:])):
            return rows
    if not Path(path).is_file() or not (rows := _index().get(content_hash(Path(path)))):
        raise SplitError(f"{path} is in no row of {TABLE.name}, neither by its path nor by its content")
    return rows


# The making of the table.


@dataclass(frozen=True, slots=True)
class _Source:
    """Files of one kind. use "": assigned by groups of near-duplicates; ranges: of frames, with a use each."""

    pattern: str
    use: str
    group: str
    note: str = ""
    ranges: tuple[tuple[int, int, str], ...] = ()


SOURCES = (
    _Source("gtsrb32/train/*.png", "train", "gtsrb_train", "rows are tracks"),
    _Source("gtsrb32/test_public_*.png", "judge", "gtsrb_test", "official test set"),
    _Source("sign_artwork/*.zip", "train", "sign_artwork"),
    _Source("road_frames_traffic_lights/*.jpg", "", "", "one group per camera, by perceptual hash"),
    _Source("road_frames_unlabelled/*.jpg", "judge", "motorway", "frames of the motorway clip and its sisters"),
    _Source("videos/solidWhiteRight.mp4", "", "motorway", "", ((0, 109, "calibrate"), (110, 220, "judge"))),
    _Source("videos/people-detection.264", "", "people_detection", "", ((0, 595, "calibrate"),)),
    _Source("pets09_s2l1/pets_a.mp4", "", "pets09_s2l1", "", ((0, 449, "judge"),)),
    _Source("kitti/image_2/*.jpeg", "judge", "kitti"),
    _Source("inria_person/*.zip", "judge", "inria_person"),
    _Source("it_signs/images/*.jpg", "judge", "it_signs", "internal only, no licence"),
    _Source("it_signs/crops.zip", "judge", "it_signs", "internal only, no licence"),
    _Source("ood_sets/*.zip", "judge", "ood_sets"),
    _Source("ood_sets/*.npz", "judge", "ood_sets"),
    _Source("real_weather/*/*.jpg", "judge", "real_weather", "internal only"),
    _Source("real_weather/clips/clear_countryroad.mp4", "", "countryroad", "internal only", ((0, 387, "judge"),)),
    _Source(
        "real_weather/clips/clear_seattlestreet1.mp4",
        "",
        "seattlestreet1",
        "internal only; its first two thirds are its own clean start",
        ((0, 695, "calibrate"), (696, 1043, "judge")),
    ),
    _Source("real_weather/clips/lens_rain_rainy.mp4", "", "rainy", "internal only", ((0, 967, "judge"),)),
    _Source("real_weather/clips/night_night.mp4", "", "night", "internal only", ((0, 1117, "judge"),)),
    _Source("cure_tsd_reference/curetsd_challenges.png", "calibrate", "cure_tsd_reference", "challenges fitted on it"),
)
SHARES = {"train": 0.6, "calibrate": 0.15, "judge": 0.25}  # of the pictures whose use is assigned by groups
HASH_SIDE = 16
SAME_SCENE_BITS = 80  # of 256; measured: frames of one camera are linked by 79 bits or less, two differ in 89 or more
SMALL_GROUP = 6  # groups with fewer pictures are merged: a bus before the lens hides that two show one place


def make_splits(folder: Path) -> list[SplitRow]:
    """The table for a data folder. Raises SplitError for a source without files."""
    rows: list[SplitRow] = []
    undecided: list[Path] = []
    for source in SOURCES:
        paths = sorted(folder.glob(source.pattern))
        if not paths:
            raise SplitError(f"expected files {source.pattern} in {folder}, got none")
        if source.use or source.ranges:
            rows += [row for path in paths for row in _rows_for(source, path, folder)]
        else:
            undecided += paths
    decided = [folder / row.path for row in rows if Path(row.path).suffix in (".jpg", ".jpeg")]
    rows += _rows_by_camera(undecided, decided, folder)
    rows.sort(key=lambda row: (row.path, row.first or 0))
    check_splits(rows)
    return rows


def _rows_for(source: _Source, path: Path, folder: Path) -> list[SplitRow]:
    name, sha256 = path.relative_to(folder).as_posix(), content_hash(path)
    if not source.ranges:
        return [SplitRow(name, sha256, None, None, source.use, source.group, source.note)]
    return [SplitRow(name, sha256, *span, source.group, source.note) for span in source.ranges]


def _rows_by_camera(paths: Sequence[Path], decided: Sequence[Path], folder: Path) -> list[SplitRow]:
    """Groups near-duplicates and assigns whole groups, the largest first, to the use that lacks most of its share."""
    labels = near_duplicate_groups(np.stack([perceptual_hash(path) for path in paths]))
    groups: dict[str, list[Path]] = defaultdict(list)
    for path, label in zip(paths, labels, strict=True):
        groups[f"camera_{paths[label].stem}" if labels.count(label) >= SMALL_GROUP else "small_groups"].append(path)
    others = np.stack([perceptual_hash(path) for path in decided])
    given = dict.fromkeys(SHARES, 0)
    rows = []
    for group, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        seen_elsewhere = any((others != perceptual_hash(path)).sum(axis=1).min() <= SAME_SCENE_BITS for path in members)
        use = "judge" if seen_elsewhere else min(SHARES, key=lambda use: given[use] / SHARES[use])
        given[use] += len(members)
        rows += [row for path in members for row in _rows_for(_Source("", use, group), path, folder)]
    return rows


def perceptual_hash(path: Path) -> NDArray[np.bool_]:
    """256 bits: where a 16x17 thumbnail gets brighter to the right."""
    gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        raise SplitError(f"expected a picture at {path}, got one that cannot be decoded")
    small = np.asarray(cv2.resize(gray, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA))
    return (small[:, 1:] > small[:, :-1]).ravel()


def near_duplicate_groups(hashes: NDArray[np.bool_]) -> list[int]:
    """The group of each row of (n, bits): pictures linked by a chain of neighbors within SAME_SCENE_BITS."""
    near = (hashes[:, None] != hashes[None]).sum(axis=2) <= SAME_SCENE_BITS
    labels = np.arange(len(hashes))
    while True:
        lowest = np.where(near, labels[None], len(hashes)).min(axis=1)
        if (lowest == labels).all():
            return [int(label) for label in labels]
        labels = lowest


def main() -> None:
    """Writes `splits.csv`."""
    parser = argparse.ArgumentParser(description="Write splits.csv for a folder of development data.")
    parser.add_argument("folder", type=Path)
    rows = make_splits(parser.parse_args().folder)
    write_table(TABLE, [field.name for field in fields(SplitRow)], map(astuple, rows))


if __name__ == "__main__":
    main()
