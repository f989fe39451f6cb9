from __future__ import annotations

import random

import pytest

from gradwatch.streams.cameras.jpeg_splitter import MAX_GAP_BYTES, MAX_PICTURE_BYTES, JpegSplitter, NoPictureError
from tests.builders import noise_jpeg

MEGABYTE = 1 << 20
PICTURES = [noise_jpeg(seed, quality=quality) for seed, quality in enumerate((30, 90, 100))]


def in_chunks(stream: bytes, seed: int) -> list[bytes]:
    generator, found, splitter, at = random.Random(seed), [], JpegSplitter(), 0
    while at < len(stream):
        size = generator.choice((1, 2, 3, 100, 5000))
        found += splitter.feed(stream[at : at + size])
        at += size
    return found


@pytest.mark.parametrize("between", [b"", b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n", b"\0" * 7, b"\xff\xff"])
@pytest.mark.parametrize("seed", range(4))
def test_pictures_come_out_whatever_stands_between_them(between: bytes, seed: int) -> None:
    assert in_chunks(between.join([b"", *PICTURES, b""]), seed) == PICTURES


def test_a_thumbnail_within_a_picture_is_no_picture() -> None:
    thumbnail = PICTURES[0]
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail
    with_thumbnail = PICTURES[1][:2] + segment + PICTURES[1][2:]
    assert in_chunks(with_thumbnail + PICTURES[2], 0) == [with_thumbnail, PICTURES[2]]


def test_a_picture_that_is_cut_ends_where_the_next_begins() -> None:
    cut = PICTURES[1][: len(PICTURES[1]) // 2]
    assert in_chunks(cut + PICTURES[2], 0) == [cut, PICTURES[2]]


def test_a_segment_without_a_marker_ends_a_picture() -> None:
    found = in_chunks(PICTURES[1][:2] + b"\xff\xe1\x00\x04abnonsense" + PICTURES[2], 0)
    assert found[-1] == PICTURES[2]


def test_an_endless_picture_is_an_error_before_it_fills_the_memory() -> None:
    splitter = JpegSplitter()
    splitter.feed(PICTURES[1][: PICTURES[1].index(b"\xff\xda") + 20])
    for _ in range(MAX_PICTURE_BYTES // MEGABYTE - 1):
        splitter.feed(b"\x11" * MEGABYTE)
    with pytest.raises(NoPictureError, match="more than 16 MiB"):
        splitter.feed(b"\x11" * MEGABYTE)


def test_a_stream_without_pictures_is_an_error() -> None:
    splitter = JpegSplitter()
    assert splitter.feed(b"t" * MAX_GAP_BYTES) == []
    with pytest.raises(NoPictureError, match="1 MiB without a JPEG"):
        splitter.feed(b"text")
