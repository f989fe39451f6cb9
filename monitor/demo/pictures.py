"""What the demo plays and what it leaves behind: pictures before the clock starts, videos after it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import gradwatch
from gradwatch import MissingFileError
from gradwatch.streams.challenges.table import apply_challenge
from gradwatch.streams.recordings.video import read_video, write_video
from gradwatch.streams.wire.messages import Alert, FrameReport
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg
from gradwatch.streams.world.drive import Drive

from ..overlay import annotations as overlays

MOTORWAY = Path(gradwatch.__file__).parent.parent / "tests" / "recordings" / "motorway.mp4"
CALIBRATION_FRAMES = 110  # of the motorway; the rest is played
STREAMS = ("town", "motorway")
ONSET = {"town": 0.45, "motorway": 0.6}  # share of the drive after which the challenge sets in


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What to play, and where to: `seconds` at `rate_hz` a stream, and the challenge that sets in."""

    folder: Path
    seconds: float = 60.0
    rate_hz: float = 5.0
    challenge: str = "rain"
    level: int = 5
    seed: int = 1

    @property
    def frames(self) -> int:
        """Frames a stream."""
        return max(2, round(self.seconds * self.rate_hz))

    def onset(self, stream_id: str) -> int:
        """The first frame under the challenge."""
        return round(ONSET[stream_id] * self.frames)


def render(settings: DemoSettings) -> None:
    """Both streams and the motorway's calibration as folders of JPEG files. Raises MissingFileError."""
    if not MOTORWAY.is_file():
        raise MissingFileError(f"expected the recording at {MOTORWAY}, got nothing there: run the demo from a clone")
    drive = Drive("town", settings.seed, settings.frames, settings.rate_hz)
    _write(settings, "town", map(drive.image, range(settings.frames)))
    recorded = [frame.image for frame in read_video(MOTORWAY)]
    _save(settings.folder / "motorway-clean", recorded[:CALIBRATION_FRAMES])
    played = recorded[CALIBRATION_FRAMES:]
    there_and_back = played + played[-2:0:-1]
    _write(settings, "motorway", (there_and_back[i % len(there_and_back)] for i in range(settings.frames)))


def annotated_video(settings: DemoSettings, stream_id: str, reports: dict[int, FrameReport]) -> Path:
    """The stream with its overlays as VP9; frames that were not judged carry their outcome instead."""
    path = settings.folder / f"{stream_id}.webm"
    write_video(path, _annotated(settings, stream_id, reports), settings.rate_hz)
    return path


def alert_stills(
    settings: DemoSettings, stream_id: str, reports: dict[int, FrameReport], alerts: Iterable[Alert]
) -> list[Path]:
    """A picture of the frame that raised each alert."""
    paths = []
    for alert in alerts:
        path = settings.folder / f"{stream_id}-alert-{alert.last_seq:05d}-{alert.kind}.png"
        image = overlays.still(_picture(settings, stream_id, alert.last_seq), reports[alert.last_seq], alert)
        path.write_bytes(encode_png(image))
        paths.append(path)
    return paths


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """PNG bytes of (H, W, 3) uint8 RGB."""
    return bytes(cv2.imencode(".png", image[..., ::-1])[1])


def _annotated(settings: DemoSettings, stream_id: str, reports: dict[int, FrameReport]) -> Iterator[NDArray[np.uint8]]:
    for seq in range(settings.frames):
        image = _picture(settings, stream_id, seq)
        yield overlays.draw(image, reports[seq]) if seq in reports else image


def _picture(settings: DemoSettings, stream_id: str, seq: int) -> NDArray[np.uint8]:
    return decode_picture((settings.folder / stream_id / f"{seq:05d}.jpg").read_bytes())


def _write(settings: DemoSettings, stream_id: str, images: Iterable[NDArray[np.uint8]]) -> None:
    onset = settings.onset(stream_id)
    _save(
        settings.folder / stream_id,
        (
            apply_challenge(image, settings.challenge, settings.level, settings.seed, seq) if seq >= onset else image
            for seq, image in enumerate(images)
        ),
    )


def _save(folder: Path, images: Iterable[NDArray[np.uint8]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    for index, image in enumerate(images):
        (folder / f"{index:05d}.jpg").write_bytes(encode_jpeg(image))
