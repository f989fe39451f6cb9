"""The pictures that the demo plays, rendered before it starts, and the videos and stills that it draws at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gradwatch import MissingFileError
from gradwatch.streams.challenges.table import apply_challenge
from gradwatch.streams.recordings.video import read_video, write_video
from gradwatch.streams.wire.messages import Alert, FrameReport
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg
from gradwatch.streams.world.drive import Drive

from ..overlay import annotations as overlays

MOTORWAY = Path(__file__).parent / "recordings" / "motorway.mp4"
CALIBRATION_FRAMES = 110  # of the motorway; the rest is played
STREAMS = ("town", "motorway")
ONSET = {"town": 0.45, "motorway": 0.6}  # share of the drive after which the challenge sets in

Image = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """The folder of the demo, the length and rate of its streams, and the challenge that sets in."""

    folder: Path
    seconds: float = 60.0
    rate_hz: float = 5.0
    challenge: str = "rain"
    level: int = 5
    seed: int = 1

    @property
    def frames(self) -> int:
        """Number of frames of a stream."""
        return max(2, round(self.seconds * self.rate_hz))

    def onset(self, stream_id: str) -> int:
        """The first frame under the challenge."""
        return round(ONSET[stream_id] * self.frames)


def render(settings: DemoSettings) -> None:
    """Renders both streams and the calibration frames of the motorway as folders of JPEG files.

    Raises MissingFileError.
    """
    if not MOTORWAY.is_file():
        raise MissingFileError(f"expected the recording at {MOTORWAY}, got nothing there: install gradwatch again")
    drive = Drive("town", settings.seed, settings.frames, settings.rate_hz)
    _save_stream(settings, "town", map(drive.image, range(settings.frames)))
    recorded = [frame.pixels() for frame in read_video(MOTORWAY)]
    _save(settings.folder / "motorway-clean", recorded[:CALIBRATION_FRAMES])
    played = recorded[CALIBRATION_FRAMES:]
    there_and_back = played + played[-2:0:-1]
    _save_stream(settings, "motorway", (there_and_back[i % len(there_and_back)] for i in range(settings.frames)))


def write_annotated_video(settings: DemoSettings, stream_id: str, reports: Mapping[int, FrameReport]) -> Path:
    """The stream with its overlays as VP9; frames that were not judged show their outcome instead."""
    path = settings.folder / f"{stream_id}.webm"
    images = ((seq, _read(settings, stream_id, seq)) for seq in range(settings.frames))
    drawn = (overlays.draw(image, reports[seq]) if seq in reports else image for seq, image in images)
    write_video(path, drawn, settings.rate_hz)
    return path


def write_alert_still(settings: DemoSettings, stream_id: str, reports: Mapping[int, FrameReport], alert: Alert) -> Path:
    """A picture of the frame that raised the alert."""
    path = settings.folder / f"{stream_id}-alert-{alert.last_seq:05d}-{alert.kind}.png"
    image = overlays.still(_read(settings, stream_id, alert.last_seq), reports[alert.last_seq], alert)
    path.write_bytes(encode_png(image))
    return path


def encode_png(image: Image) -> bytes:
    """PNG bytes of an image."""
    return bytes(cv2.imencode(".png", image[..., ::-1])[1])


def _read(settings: DemoSettings, stream_id: str, seq: int) -> Image:
    return decode_picture((settings.folder / stream_id / f"{seq:05d}.jpg").read_bytes())


def _save_stream(settings: DemoSettings, stream_id: str, images: Iterable[Image]) -> None:
    def challenged(seq: int, image: Image) -> Image:
        if seq < settings.onset(stream_id):
            return image
        return apply_challenge(image, settings.challenge, settings.level, settings.seed, seq)

    _save(settings.folder / stream_id, (challenged(seq, image) for seq, image in enumerate(images)))


def _save(folder: Path, images: Iterable[Image]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    for index, image in enumerate(images):
        (folder / f"{index:05d}.jpg").write_bytes(encode_jpeg(image))
