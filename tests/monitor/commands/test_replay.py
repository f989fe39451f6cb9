"""`gradwatch replay`: its options, and every kind of recording through a broker."""

from __future__ import annotations

import base64
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gradwatch.monitor.commands import app
from gradwatch.monitor.commands.streams.replay import notes, parse_facets
from gradwatch.streams.recordings.damage import RecordingError
from gradwatch.streams.recordings.played import legal_stream_id
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import StreamIdError

from ...brokers import make_topics, read_records
from ...builders import gray_jpeg
from ...places import MOTORWAY

STAMP_NS = 1_790_000_000_000_000_000


def jpeg(level: int) -> bytes:
    return gray_jpeg(level, (24, 16))


def put(folder: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".bmp":
            assert cv2.imwrite(str(path), np.full((12, 16, 3), 20 * i, np.uint8))
        else:
            path.write_bytes(jpeg(20 * i))
    return folder


def crops(folder: Path) -> Path:
    names = ("ChallengeFree/01_06_00_00_0001.bmp", "Rain-1/01_06_09_01_0001.bmp", "Rain-1/01_01_09_01_0007.bmp")
    return put(folder / "CURE-TSR", *(f"Real_Test/{name}" for name in names))


def objects(folder: Path) -> Path:
    return put(folder / "CURE-OR", "01_no_challenge/white/HTC/1_2_3_040_01_0.jpg", "05_blur/Level_1/1_2_3_040_05_1.jpg")


def mcap(folder: Path) -> Path:
    writing = pytest.importorskip("mcap.writer", reason="bags need the extra 'bags'")
    path = folder / "drive.mcap"
    with path.open("wb") as file:
        writer = writing.Writer(file)
        writer.start()
        schema = writer.register_schema("foxglove.CompressedImage", "jsonschema", b"{}")
        for topic in ("/front", "/rear"):
            channel = writer.register_channel(topic, "json", schema)
            for i in range(2):
                stamp = {"sec": STAMP_NS // 1_000_000_000 + i, "nsec": 0}
                content = {"timestamp": stamp, "data": base64.b64encode(jpeg(40 * i)).decode()}
                writer.add_message(channel, STAMP_NS + i, json.dumps(content).encode(), STAMP_NS + i)
        writer.finish()
    return path


def recording(folder: Path) -> Path:
    return Path(shutil.copy(MOTORWAY, folder / "01_07_00_00_00.mp4"))


def test_an_option_of_another_kind_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["replay", str(recording(tmp_path)), "--topic", "/front"], env={"COLUMNS": "300"})
    assert done.exit_code == 2
    assert "--topic does not apply to" in done.output


def test_facets_are_parsed() -> None:
    assert parse_facets(["challenge=none,rain", "level=1", "challenge=snow"]) == {
        "challenge": ["none", "rain", "snow"],
        "level": ["1"],
    }
    for wrong in ("challenge", "=rain", "challenge="):
        with pytest.raises(typer.BadParameter, match="expected FACET=VALUE"):
            parse_facets([wrong])


def test_what_a_user_should_know_first_is_said() -> None:
    cyrillic = Path("камера.mp4")
    assert notes(MOTORWAY, "motorway", None, pace=True, policy="live") == []
    assert notes(MOTORWAY, "north", "north", pace=False, policy="every_frame") == []
    (said,) = notes(cyrillic, legal_stream_id(cyrillic.stem), None, pace=True, policy="live")
    assert said.startswith(f"камера.mp4 is published as stream {legal_stream_id('камера')}; --stream-id")
    (said,) = notes(MOTORWAY, "motorway", None, pace=False, policy="live")
    assert "superseded" in said
    assert "every_frame" in said


def test_a_stream_id_that_was_given_is_never_changed(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["replay", str(recording(tmp_path)), "--stream-id", "видео 1"])
    assert isinstance(done.exception, StreamIdError)
    assert "got 'видео 1'" in str(done.exception)


@pytest.fixture
def restore_signals() -> Iterator[None]:
    """replay handles SIGTERM and SIGINT."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("restore_signals")
def test_every_kind_of_recording_is_published(embedded: str, tmp_path: Path) -> None:
    played = {
        "tsr": ([crops(tmp_path), "--only", "challenge=rain", "--rate", "50"], 2),
        "or": ([objects(tmp_path), "--rate", "50"], 2),
        "tsd": ([recording(tmp_path), "--last", "2"], 3),
        "bag": ([mcap(tmp_path), "--topic", "/rear"], 2),
    }
    topics, config = make_topics(embedded, partitions=1), tmp_path / "gradwatch.yaml"
    config.write_text(f"topics: {{frames: {topics.frames}, prefix: {topics.prefix}}}\n")
    for stream_id, (arguments, _) in played.items():
        options = ["--stream-id", stream_id, "--no-pace", "-b", embedded, "--config", str(config)]
        done = CliRunner().invoke(app, ["replay", *map(str, arguments), *options])
        assert done.exit_code == 0, done.output
    expected = sum(count for _, count in played.values())
    frames = [decode_frame(record) for record in read_records(embedded, [topics.frames], expected)]
    by_stream = {name: [frame for frame in frames if frame.stamp.identity.stream_id == name] for name in played}
    assert {name: len(got) for name, got in by_stream.items()} == {name: count for name, (_, count) in played.items()}
    assert {frame.encoding for frame in by_stream["tsr"]} == {"image/png"}
    assert [frame.content for frame in by_stream["or"]] == [jpeg(0), jpeg(20)]
    assert [frame.stamp.capture_ns for frame in by_stream["bag"]] == [STAMP_NS, STAMP_NS + 1_000_000_000]
    assert {frame.stamp.clock for frame in by_stream["bag"]} == {"utc"}
    assert {frame.stamp.clock for name in ("tsr", "or", "tsd") for frame in by_stream[name]} == {"media"}


@pytest.mark.usefixtures("restore_signals")
def test_what_is_broken_and_what_ends_a_recording_is_said_with_the_counts(embedded: str, tmp_path: Path) -> None:
    topics, config, figures = make_topics(embedded, partitions=1), tmp_path / "gradwatch.yaml", tmp_path / "figures"
    config.write_text(f"topics: {{frames: {topics.frames}, prefix: {topics.prefix}}}\n")
    options = ["--no-pace", "-b", embedded, "--config", str(config), "--json", str(figures)]

    folder = put(tmp_path / "folder", "f_1.jpg", "f_2.jpg", "f_10.jpg")
    (folder / "f_3.jpg").write_bytes(b"")
    done = CliRunner().invoke(app, ["replay", str(folder), *options])
    assert done.exit_code == 0, done.output
    assert "folder: 3 of 4 frames published" in done.output
    assert "dropped: 1 undecodable" in done.output
    assert json.loads(figures.read_bytes())["dropped"] == {"undecodable": 1}

    done = CliRunner().invoke(app, ["replay", str(folder), *options, "--first", "7"])
    assert isinstance(done.exception, RecordingError)
    assert "first: expected a frame from 0 to 2 of folder, got 7" in str(done.exception)

    content = bytearray(mcap(tmp_path).read_bytes())
    data_end = content.rindex(b"\x0f" + (4).to_bytes(8, "little"))
    content[data_end + 1 : data_end + 9] = b"\xff" * 8  # a length that leads nowhere, after the last picture
    (tmp_path / "broken.mcap").write_bytes(content)
    done = CliRunner().invoke(app, ["replay", str(tmp_path / "broken.mcap"), "--topic", "/rear", *options])
    assert done.exit_code == 1
    assert "broken: 2 of 2 frames published" in done.output
    assert "can't be read on" in done.output
