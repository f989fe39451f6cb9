from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from gradwatch.streams.cameras.connection import CodecSetup, Packet
from gradwatch.streams.cameras.decoder import Decoder, UndecodableError
from gradwatch.streams.cameras.picture_health import thumbnail
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg

RATE_HZ = 25


def setup(codec: str, **known: object) -> CodecSetup:
    fields = {"extradata": None, "width": 0, "height": 0, "pixel_format": None, "has_media_clock": True} | known
    return CodecSetup(codec, **fields)


def colors(height: int, width: int) -> np.ndarray:
    """Patches of strong colors, 8 x 8 of them."""
    patches = np.random.default_rng(3).integers(20, 236, (8, 8, 3)).astype(np.uint8)
    return np.kron(patches, np.ones((height // 8, width // 8, 1), np.uint8))


def encoded(images: list[np.ndarray], codec: str = "libx264", colorspace: int = 1, **options: str) -> list[Packet]:
    """Packets of a video that states its color matrix: 1 BT.709, 5 BT.601."""
    context = av.CodecContext.create(codec, "w")
    context.height, context.width = images[0].shape[:2]
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, RATE_HZ), Fraction(RATE_HZ)
    context.colorspace, context.color_range = colorspace, 1
    context.options = {"crf": "10", "tune": "zerolatency", **options}
    packets = []
    for i, image in enumerate([*images, None]):
        frame = None
        if image is not None:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=colorspace, dst_color_range=1
            )
            frame.pts = i
        packets += [
            Packet(bytes(packet), packet.pts * 1_000_000_000 // RATE_HZ, packet.is_keyframe)
            for packet in context.encode(frame)
        ]
    return packets


@pytest.mark.parametrize("colorspace", [1, 5])
def test_colors_are_kept_for_any_color_matrix(colorspace: int) -> None:
    image = colors(240, 320)
    (picture,) = Decoder(setup("h264")).decode(encoded([image], colorspace=colorspace)[0])
    content, small = picture.encode(with_thumbnail=True)
    shown = decode_picture(content)
    inner = np.s_[8:22, 8:32]  # of each patch: its borders are soft in color
    patches = [np.s_[30 * i : 30 * (i + 1), 40 * j : 40 * (j + 1)] for i in range(8) for j in range(8)]
    errors = [abs(shown[p][inner].mean((0, 1)) - image[p][inner].mean((0, 1))).max() for p in patches]
    assert max(errors) < 6.0
    assert picture.size == (320, 240)
    assert small is not None
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert abs(small.astype(float) - thumbnail(luma.astype(np.uint8))).mean() < 3.0
    assert picture.encode(with_thumbnail=False)[1] is None


def test_black_and_white_use_the_whole_range() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 255
    (picture,) = Decoder(setup("h264")).decode(encoded([image])[0])
    shown = decode_picture(picture.encode(with_thumbnail=False)[0])
    assert shown[:, :24].max() < 8
    assert shown[:, 40:].min() > 247


def test_a_jpeg_passes_unchanged() -> None:
    content = encode_jpeg(colors(64, 96))
    (picture,) = Decoder(setup("mjpeg")).decode(Packet(content, 7, True))
    assert picture.encode(with_thumbnail=True)[0] is content
    assert (picture.size, picture.media_ns) == ((96, 64), 7)


def test_each_picture_is_decoded_with_its_packet_and_time() -> None:
    packets = encoded([colors(64, 96)] * 6)
    decoder = Decoder(setup("h264"))
    times = [[picture.media_ns for picture in decoder.decode(packet)] for packet in packets]
    assert times == [[packet.media_ns] for packet in packets]
    assert decoder.flush() == []


def test_delayed_pictures_are_decoded_in_order_without_loss() -> None:
    packets = encoded([colors(64, 96)] * 12, tune="film", bf="2", **{"b-adapt": "0"})
    decoder = Decoder(setup("h264"))
    out = [picture for packet in packets for picture in decoder.decode(packet)]
    times = [picture.media_ns for picture in [*out, *decoder.flush()]]
    assert times == [i * 1_000_000_000 // RATE_HZ for i in range(12)]


def test_nothing_is_decoded_before_a_key_frame() -> None:
    packets = encoded([colors(64, 96)] * 8, g="4")
    decoder = Decoder(setup("h264"))
    for packet in packets[1:4]:
        with pytest.raises(UndecodableError, match="no key frame yet"):
            decoder.decode(packet)
    assert len(decoder.decode(packets[4])) == 1


def test_a_jpeg_that_exif_turns_arrives_upright_as_from_a_folder() -> None:
    jpeg = encode_jpeg(colors(64, 96))
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff + jpeg[2:]
    (picture,) = Decoder(setup("mjpeg")).decode(Packet(turned, None, True))
    assert picture.size == (64, 96)
    shown = decode_picture(picture.encode(with_thumbnail=False)[0])
    assert np.abs(shown.astype(int) - np.rot90(decode_picture(jpeg), -1)).mean() < 5


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\xff\xd8\xff\xe0"])
def test_other_bytes_are_no_jpeg(content: bytes) -> None:
    with pytest.raises(UndecodableError):
        Decoder(setup("mjpeg")).decode(Packet(content, None, True))


def test_garbage_in_a_stream_is_undecodable_and_the_next_packet_is_not() -> None:
    packets = encoded([colors(64, 96)] * 4, g="1")
    decoder = Decoder(setup("h264"))
    garbage = np.random.default_rng(0).bytes(500)
    with pytest.raises(UndecodableError):
        decoder.decode(Packet(garbage, 0, True))
    assert len(decoder.decode(packets[1])) == 1


def test_raw_pixels_of_a_usb_camera_become_a_jpeg() -> None:
    frame = av.VideoFrame.from_ndarray(colors(64, 96), format="rgb24").reformat(format="yuyv422")
    known = {"width": 96, "height": 64, "pixel_format": "yuyv422"}
    (picture,) = Decoder(setup("rawvideo", **known)).decode(Packet(bytes(frame.planes[0]), 5, True))
    shown = decode_picture(picture.encode(with_thumbnail=False)[0])
    assert abs(shown[20:28, 26:34].astype(int).mean((0, 1)) - colors(64, 96)[20:28, 26:34].mean((0, 1))).max() < 30
    assert shown.shape == (64, 96, 3)
