from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest

from gradwatch.streams.cameras.access_units import AccessUnitAssembler
from gradwatch.streams.cameras.clock import Instant
from gradwatch.streams.cameras.connection import CodecSetup, Packet
from gradwatch.streams.cameras.decoder import Decoder

SIZE, GOP, STEP_NS = (320, 240), 5, 40_000_000
START = b"\x00\x00\x00\x01"
H264_SETS, HEVC_SETS = (7, 8), (32, 33, 34)


def setup(codec: str = "h264", extradata: bytes | None = None) -> CodecSetup:
    return CodecSetup(codec, extradata, *SIZE, "yuv420p", has_media_clock=True)


def encoded(slices: int, count: int = 12) -> Iterator[tuple[bytes, bool]]:
    """A gray that rises by ten a picture, with sensor noise."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = SIZE
    encoder.pix_fmt, encoder.time_base, encoder.gop_size = "yuv420p", Fraction(1, 25), GOP
    encoder.options = {"tune": "zerolatency", "preset": "ultrafast", "x264-params": f"slices={slices}:threads=1"}
    generator = np.random.default_rng(0)
    for i in range(count):
        luma = np.clip(generator.normal(60 + 10 * i, 3, (SIZE[1] * 3 // 2, SIZE[0])), 0, 255).astype(np.uint8)
        luma[SIZE[1] :] = 128
        frame = av.VideoFrame.from_ndarray(luma, format="yuv420p")
        frame.pts = i
        for packet in encoder.encode(frame):
            yield bytes(packet), packet.is_keyframe


def in_parts(content: bytes) -> list[bytes]:
    """A key frame as FFmpeg's parser splits it where parameter sets are sent before each of its slices."""
    units = re.split(rb"\x00?\x00\x00\x01", content)[1:]
    sets = b"".join(START + unit for unit in units if unit[0] & 0x1F in H264_SETS)
    first, *others = (START + unit for unit in units if unit[0] & 0x1F == 5)
    return [sets + first, *(sets + other for other in others)]


def packets(slices: int, split: bool) -> list[Packet]:
    found = []
    for i, (content, is_key) in enumerate(encoded(slices)):
        for part in in_parts(content) if is_key and split else [content]:
            found.append(Packet(part, i * STEP_NS, is_key))
    return found


def through(assembler: AccessUnitAssembler, sent: list[Packet]) -> list[tuple[Packet, int]]:
    """The pictures, each with the index of the packet that completed it."""
    out = [(picture, i) for i, packet in enumerate(sent) for picture, _ in assembler.put(packet, Instant(i, i))]
    return out + [(picture, len(sent)) for picture, _ in assembler.flush()]


def lumas(pictures: list[Packet]) -> list[np.ndarray]:
    decoder = Decoder(setup())
    decoded = [out for picture in pictures for out in decoder.decode(picture)]
    return [out.frame.to_ndarray()[: SIZE[1]] for out in decoded if out.frame is not None]


@pytest.mark.parametrize("slices", [2, 4])
def test_a_key_frame_in_parts_is_decoded_as_a_whole_one(slices: int) -> None:
    sent, as_it_was = packets(slices, split=True), packets(slices, split=False)
    assert len(sent) == len(as_it_was) + 3 * (slices - 1)
    pictures = [picture for picture, _ in through(AccessUnitAssembler(setup()), sent)]
    assert [picture.media_ns for picture in pictures] == [i * STEP_NS for i in range(12)]
    for shown, expected in zip(lumas(pictures), lumas(as_it_was), strict=True):
        assert (shown == expected).all()
    spoiled = lumas(sent)  # without the assembler
    assert len(spoiled) != 12 or any((a != b).any() for a, b in zip(spoiled, lumas(as_it_was), strict=True))


@pytest.mark.parametrize("slices", [1, 3])
def test_other_cameras_are_delayed_at_their_first_key_frame_only(slices: int) -> None:
    sent = packets(slices, split=False)
    out = through(AccessUnitAssembler(setup()), sent)
    assert [picture for picture, _ in out] == sent
    assert [by for _, by in out] == [1, 1, *range(2, 12)]


def test_a_held_picture_keeps_its_arrival_and_comes_with_the_flush() -> None:
    assembler, first = AccessUnitAssembler(setup()), packets(1, split=False)[0]
    assert assembler.put(first, Instant(7, 7)) == []
    assert assembler.flush() == [(first, Instant(7, 7))]
    assert assembler.flush() == []


def test_a_camera_that_starts_to_split_later_spoils_one_key_frame() -> None:
    sent = packets(2, split=True)
    out = [
        picture for picture, _ in through(AccessUnitAssembler(setup()), packets(2, split=False)[:GOP] + sent[1 + GOP :])
    ]
    assert [picture.media_ns for picture in out] == [STEP_NS * i for i in (0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11)]


def test_the_time_of_any_part_is_the_time_of_the_picture() -> None:
    first, second, *_ = packets(2, split=True)
    assembler = AccessUnitAssembler(setup())
    assembler.put(Packet(first.content, None, True), Instant(0, 0))
    assembler.put(second, Instant(1, 1))
    ((picture, at),) = assembler.flush()
    assert (picture.media_ns, at) == (second.media_ns, Instant(1, 1))


def test_short_start_codes_hide_no_slice() -> None:
    """A delimiter is two bytes long: the next start code begins where its third would be."""
    key, later = b"\x00\x00\x01\x65\x88\x80", b"\x00\x00\x01\x09\xf0\x00\x00\x01\x41\x9a\x00\x00\x01\x41\x0a\x00"
    sent = [Packet(key, None, True), Packet(later, None, False)]
    assert through(AccessUnitAssembler(setup()), sent) == [(sent[0], 1), (sent[1], 1)]


def test_parts_of_h265_are_joined_too() -> None:
    sets = b"".join(START + bytes([kind << 1, 1]) + b"\xaa" for kind in HEVC_SETS)
    key, part, later = (START + bytes([kind << 1, 1, bits]) for kind, bits in ((19, 0xA0), (19, 0x20), (1, 0xD0)))
    sent = [Packet(sets + key, 0, True), Packet(sets + part, 0, True), Packet(later, 1, False)]
    out = [picture for picture, _ in through(AccessUnitAssembler(setup("hevc")), sent)]
    assert [picture.content for picture in out] == [sets + key + sets + part, later]


@pytest.mark.parametrize(("codec", "extradata"), [("mjpeg", None), ("h264", b"\x01\x64\x00\x28")])
def test_packets_without_start_codes_pass_at_once(codec: str, extradata: bytes | None) -> None:
    sent = packets(2, split=True)[:2]
    out = through(AccessUnitAssembler(setup(codec, extradata)), sent)
    assert out == [(sent[0], 0), (sent[1], 1)]
