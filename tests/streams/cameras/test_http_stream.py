"""Cameras over HTTP, played by a real server: their habits, their log-in, and where they lead to."""

from __future__ import annotations

import base64
import time
from http.server import BaseHTTPRequestHandler
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from gradwatch.streams.cameras import http_stream
from gradwatch.streams.cameras.address import CameraAddress, camera_address
from gradwatch.streams.cameras.camera_error import CameraError
from gradwatch.streams.cameras.connection import Packet, connect
from gradwatch.streams.wire.messages import Disturbance
from tests.builders import noise_jpeg

from .http_cameras import Answer, begin, http_camera, redirect

PICTURES = [noise_jpeg(seed) for seed in range(3)]
MULTIPART = "multipart/x-mixed-replace; boundary=frame"


def packets_of(address: CameraAddress, count: int) -> list[Packet]:
    with connect(address) as connection:
        return list(islice((packet for packet in connection.packets if packet is not None), count))


def mjpeg(content_type: str | None = MULTIPART, part: bytes = b"--frame\r\nContent-Type: image/jpeg\r\n") -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        begin(request, content_type)
        for number in range(300):
            picture = PICTURES[number % 3]
            request.wfile.write(part.replace(b"LENGTH", str(len(picture) + 7).encode()) + b"\r\n" + picture + b"\r\n")

    return answer


@pytest.mark.parametrize(
    ("content_type", "part"),
    [
        (MULTIPART, b"--frame\r\nContent-Type: image/jpeg\r\n"),
        (MULTIPART, b"--other\r\nContent-Type: image/jpg\r\n"),
        (MULTIPART, b"--frame\r\nContent-Type: application/octet-stream\r\nContent-Length: LENGTH\r\n"),
        (MULTIPART, b"--frame\n"),
        (MULTIPART, b""),
        ("multipart/x-mixed-replace", b"--frame\r\n"),
        ("application/octet-stream", b"\r\n--frame\r\nContent-Type: image/jpeg\r\n"),
        (None, b""),
    ],
)
def test_mjpeg_is_read_whatever_its_parts_say(content_type: str | None, part: bytes) -> None:
    with http_camera(mjpeg(content_type, part)) as url:
        packets = packets_of(camera_address(url), 6)
    assert [packet.content for packet in packets] == PICTURES * 2
    assert {packet.media_ns for packet in packets} == {None}


def test_a_camera_asks_for_its_password() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        given = request.headers.get("Authorization", "")
        if given != "Basic " + base64.b64encode(b"user:p@ss w\xc3\xb6rd").decode():
            begin(request, None, 401, WWW_Authenticate='Basic realm="camera"')
            return
        mjpeg()(request)

    with http_camera(answer) as url:
        host = url.partition("://")[2]
        assert packets_of(camera_address(f"http://user:p%40ss%20wörd@{host}/x"), 1)
        for wrong in (url, f"http://user:wrong@{host}"):
            with pytest.raises(CameraError, match="refuses user and password") as refused:
                packets_of(camera_address(wrong), 1)
            assert refused.value.disturbance is Disturbance.UNAUTHORIZED
            assert "wrong" not in str(refused.value)


def single_picture(request: BaseHTTPRequestHandler) -> None:
    begin(request, "image/jpeg")
    request.wfile.write(PICTURES[0])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda request: begin(request, None, 404), r"has no stream \(404\)"),
        (lambda request: begin(request, None, 500), "answers with the status 500"),
        (single_picture, "sends a single picture"),
        (lambda request: begin(request, "text/html"), "sends something other than video|closed the connection"),
        (lambda request: request.wfile.write(b"nonsense\r\n\r\n"), "closed the connection"),
    ],
)
def test_what_is_no_camera_is_explained(answer: Answer, message: str) -> None:
    with http_camera(answer) as url, pytest.raises(CameraError, match=message):
        packets_of(camera_address(url), 1)


def test_a_part_without_an_end_is_an_error_within_bounds() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        begin(request, MULTIPART)
        request.wfile.write(PICTURES[0][: PICTURES[0].index(b"\xff\xda") + 20])
        for _ in range(64):
            request.wfile.write(b"\x11" * (1 << 20))

    with http_camera(answer) as url, pytest.raises(CameraError, match="one without an end"):
        packets_of(camera_address(url), 1)


def test_a_head_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_stream, "OPEN_TIMEOUT_S", 0.5)

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.0 200 OK\r\n")
        while True:
            request.wfile.write(b"X-A: b\r\n")
            request.wfile.flush()
            time.sleep(0.05)

    with http_camera(answer) as url, pytest.raises(CameraError):
        packets_of(camera_address(url), 1)


# -- where a camera leads to --------------------------------------------------------------------------


def test_a_redirect_stays_on_the_host_unless_another_is_allowed() -> None:
    with http_camera(mjpeg(), "127.0.0.2") as elsewhere, http_camera(redirect(elsewhere)) as url:
        with pytest.raises(
            CameraError, match=r"leads to the host '127\.0\.0\.2'; expected 127\.0\.0\.1\..*--allow-host"
        ):
            packets_of(camera_address(url), 1)
        assert packets_of(camera_address(url, allow_hosts=["127.0.0.2"]), 1)


def test_a_redirect_on_the_same_host_is_followed() -> None:
    with http_camera(mjpeg()) as target, http_camera(redirect(target)) as url:
        assert packets_of(camera_address(url), 1)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", "gopher://127.0.0.1/"])
def test_a_redirect_leads_to_network_streams_only(location: str) -> None:
    with http_camera(redirect(location)) as url, pytest.raises(CameraError):
        packets_of(camera_address(url), 1)


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A second of H.264 as an MPEG transport stream."""
    path = tmp_path_factory.mktemp("playlist") / "segment.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(0, 200, 20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Path(path).read_bytes()


def playlist(segment: bytes, place: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path.endswith(".ts"):
            begin(request, "video/mp2t")
            request.wfile.write(segment)
            return
        begin(request, "application/vnd.apple.mpegurl")
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1.0,", place, "#EXT-X-ENDLIST", ""]
        request.wfile.write("\n".join(lines).encode())

    return answer


def test_a_playlist_on_the_host_is_played(segment: bytes) -> None:
    with http_camera(playlist(segment, "segment.ts")) as url:
        packets = packets_of(camera_address(f"{url}/live.m3u8"), 10)
    assert len(packets) == 10
    assert all(packet.media_ns is not None for packet in packets)


def test_a_playlist_does_not_lead_elsewhere(segment: bytes, tmp_path: Path) -> None:
    asked: list[str] = []

    def elsewhere(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        playlist(segment, "")(request)

    file = tmp_path / "segment.ts"
    file.write_bytes(segment)
    with http_camera(elsewhere, "127.0.0.2") as other:
        for place in (f"{other}/segment.ts", f"file://{file}"):
            with http_camera(playlist(segment, place)) as url, pytest.raises(CameraError):
                packets_of(camera_address(f"{url}/live.m3u8"), 1)
    assert asked == []
