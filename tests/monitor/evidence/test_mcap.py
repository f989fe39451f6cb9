"""Evidence files: written, read by us, and read by Foxglove's own reader."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from google.protobuf.json_format import MessageToDict
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

import gradwatch
from gradwatch.monitor.evidence.format import EvidenceError
from gradwatch.monitor.evidence.mcap_reader import read_evidence, read_metadata
from gradwatch.monitor.evidence.mcap_writer import write_evidence
from gradwatch.monitor.evidence.window import MissingCause, window_of
from gradwatch.monitor.overlay import annotations as overlays
from gradwatch.streams.wire.messages import AlertState, EncodedFrame
from gradwatch.streams.wire.outputs import encode_alert, encode_report

from .scenes import JPEG, alert, frame, report, stamped

MISSING = {12: MissingCause.NEVER_PUBLISHED}


def placed(seq: int) -> EncodedFrame:
    trace = f"00-{seq:032x}-{seq:016x}-01"
    return stamped(frame(seq, 10), partition=3, offset=1000 + seq, traceparent=trace)


FRAMES = [placed(seq) for seq in range(20) if seq != 12]
REPORTS = [report(one) for one in FRAMES]
ALERTS = [alert(placed(6), placed(7), AlertState.OPEN), alert(placed(6), placed(9), revision=2)]


def written(frames: Sequence[EncodedFrame] = FRAMES) -> bytes:
    stream = io.BytesIO()
    write_evidence(stream, ALERTS, window_of(ALERTS[-1]), REPORTS, iter(frames), lambda: MISSING)
    return stream.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "evidence.mcap"
    made.write_bytes(written())
    return made


def test_a_file_read_back_equals_what_was_written(path: Path) -> None:
    found = read_evidence(path)
    assert found.frames == FRAMES
    assert [encode_report(one) for one in found.reports] == [encode_report(one) for one in REPORTS]
    assert found.alerts == ALERTS
    assert found.missing == MISSING
    assert found.time == window_of(ALERTS[-1])


def test_the_same_window_gives_the_same_bytes() -> None:
    assert written() == written()


def test_an_empty_window_is_legal(tmp_path: Path) -> None:
    path = tmp_path / "empty.mcap"
    with path.open("wb") as stream:
        assert write_evidence(stream, ALERTS, window_of(ALERTS[0]), [], [], dict) == (0, {})
    found = read_evidence(path)
    assert (found.frames, found.reports, found.missing) == ([], [], {})


def test_metadata_names_what_the_alert_depends_on(path: Path) -> None:
    found = read_metadata(path)
    assert found["version"] == gradwatch.__version__
    expected = {"stream_id": "north", "state": "closed", "revision": "2", "frames": "19", "models_id": "m1"}
    expected |= {"calibration_id": "c1", "configuration_id": "k1", "missing": '[[12,"never_published"]]'}
    assert expected.items() <= found.items()


# --- what Foxglove reads ---------------------------------------------------------------------------------------------


def decoded(path: Path, topic: str) -> list:
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        return list(reader.iter_decoded_messages([topic]))


def raw(path: Path, topic: str) -> list:
    with path.open("rb") as stream:
        return [
            (schema, message, json.loads(message.data))
            for schema, _, message in make_reader(stream, validate_crcs=True).iter_messages([topic])
        ]


def test_foxglove_reads_the_pictures(path: Path) -> None:
    found = decoded(path, "/camera")
    assert [schema.name for schema, *_ in found] == ["foxglove.CompressedImage"] * 19
    for (_, _, message, picture), one in zip(found, FRAMES, strict=True):
        assert picture.data == one.content
        assert picture.data.startswith(JPEG)
        assert message.log_time == message.publish_time == one.stamp.capture_ns
        assert picture.timestamp.ToNanoseconds() == one.stamp.capture_ns
        assert (picture.frame_id, picture.format) == ("north", "jpeg")


def test_foxglove_reads_the_overlays(path: Path) -> None:
    found = decoded(path, "/overlay")
    assert {schema.name for schema, *_ in found} == {"foxglove.ImageAnnotations"}
    for (_, _, message, drawn), said in zip(found, REPORTS, strict=True):
        agreed = overlays.annotations(said)
        assert message.log_time == drawn.timestamp.ToNanoseconds() == said.capture_ns
        assert [text.text for text in drawn.texts] == [text["text"] for text in agreed["texts"]]
        assert [len(path.points) for path in drawn.points] == [len(path["points"]) for path in agreed["points"]]
        assert [path.type for path in drawn.points] == [path["type"] for path in agreed["points"]]
        first = MessageToDict(drawn.points[0].points[0])
        assert first == pytest.approx(agreed["points"][0]["points"][0])


def test_the_schemas_are_those_that_foxglove_publishes(path: Path) -> None:
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    (schema, *_), *_ = decoded(path, "/camera")
    files = FileDescriptorSet.FromString(schema.data).file
    published = CompressedImage.DESCRIPTOR.file
    assert published.serialized_pb in [one.SerializeToString() for one in files]


def test_scores_are_json_with_a_schema_that_names_them(path: Path) -> None:
    schema, message, said = raw(path, "/scores")[3]
    assert schema.encoding == "jsonschema"
    assert "image_statistics" in json.loads(schema.data)["properties"]["scores"]["properties"]
    assert said["scores"] == {"image_statistics": [3.0], "head_entropy": [None]}  # JSON has no NaN
    assert message.log_time == REPORTS[3].capture_ns
    assert raw(path, "/p_values")[3][2]["p_values"] == {"image_statistics": [pytest.approx(0.01)]}
    change = raw(path, "/change")[3][2]
    assert (change["ratios"], change["threshold"], change["outcome"]) == ({"image_statistics": 1.5}, 1.0, "judged")


def test_each_revision_of_the_alert_is_there(path: Path) -> None:
    assert [said for *_, said in raw(path, "/alerts")] == [json.loads(encode_alert(one)) for one in ALERTS]
    assert [said["threshold"] for *_, said in raw(path, "/thresholds")] == [9.5, 9.5]


@pytest.mark.parametrize("topic", ["/scores", "/p_values", "/change", "/thresholds", "/alerts", "/frames"])
def test_json_schemas_are_in_the_form_that_foxglove_accepts(path: Path, topic: str) -> None:
    """Its parser wants an object at the root and follows no references."""
    schema = json.loads(raw(path, topic)[0][0].data)
    assert schema["type"] == "object"
    assert "$ref" not in json.dumps(schema)


# --- strangers' files ------------------------------------------------------------------------------------------------


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    whole, path, randomness = written(), tmp_path / "damaged.mcap", random.Random(0)
    for _ in range(150):
        content = bytearray(whole[: randomness.choice([len(whole), randomness.randrange(len(whole))])])
        for _ in range(randomness.randrange(4)):
            if content:
                content[randomness.randrange(len(content))] ^= 1 << randomness.randrange(8)
        path.write_bytes(content)
        try:
            read_evidence(path)
        except EvidenceError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_another_mcap_file_is_refused(tmp_path: Path) -> None:
    from mcap.writer import Writer

    path = tmp_path / "other.mcap"
    writer = Writer(str(path))
    writer.start()
    writer.finish()
    with pytest.raises(EvidenceError, match=r"expected an evidence file, got an MCAP file without the metadata"):
        read_metadata(path)
