from __future__ import annotations

import pytest

from gradwatch.streams.cameras.address import (
    CameraAddressError,
    camera_address,
    hide_credentials_of,
    is_live,
    stream_name,
)
from gradwatch.streams.observability import logs

# Pasted as it is; percent-encoded, as RFC 3986 requires; with other characters that end an address.
HOSTILE = ["p@ss:w0rd", "a%40b%2Fc", "100%sure", "x/y#z", "what?ever", "sp ace'\"", "é$&+,;=", "[brackets]", "a@b@c"]


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials registered by one test must not help another."""
    monkeypatch.setattr(logs, "_known", set())


@pytest.mark.parametrize("password", HOSTILE)
@pytest.mark.parametrize("host", ["10.0.0.7", "10.0.0.7:8554", "gate.example.org", "[fe80::1]:554"])
def test_any_password_becomes_a_legal_url_and_is_never_shown(password: str, host: str) -> None:
    address = camera_address(f"rtsp://ad min:{password}@{host}/live/1")
    scheme, _, rest = address.url.partition("://")
    user_info, _, where = rest.rpartition("@")
    assert (scheme, where) == ("rtsp", f"{host}/live/1")
    assert user_info.startswith("ad%20min:")
    assert not set(user_info) & set("@/#? [] '\"")
    assert address.shown == f"rtsp://{host}/live/1"
    assert password not in repr(address)
    assert password not in logs.scrub(f"FFmpeg error: {password!s} and {user_info}")


def test_a_password_that_is_encoded_already_is_not_encoded_twice() -> None:
    assert camera_address("rtsp://u:a%40b@h/x").url == "rtsp://u:a%40b@h/x"
    assert camera_address("rtsp://u:50%@h/x").url == "rtsp://u:50%25@h/x"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://h:554/user=admin&password=hunter2&channel=1", "rtsp://h:554/user=admin&password=***&channel=1"),
        ("http://h/cgi?usr=a&pwd=hunter2", "http://h/cgi?…"),
        ("http://h/video?token=hunter2", "http://h/video?…"),
        ("https://h/live/key=hunter2/1", "https://h/live/key=***/1"),
    ],
)
def test_credentials_elsewhere_in_an_address_are_not_shown(source: str, shown: str) -> None:
    address = camera_address(source)
    assert address.shown.replace("***&channel=1", "***") == shown.replace("***&channel=1", "***")
    assert address.url == source
    assert "hunter2" not in logs.scrub("error: hunter2")


def test_a_misread_address_shows_no_part_of_the_password() -> None:
    """`u:p@ss/word@host`: by RFC 3986 the host is `ss`. It can't be reached, and must not be shown."""
    assert camera_address("rtsp://u:p@ss/word@host/x").shown == "rtsp://***@host/x"


def test_rtsp_is_asked_for_its_transport_and_video_only() -> None:
    (options,) = camera_address("RTSP://h/x", "udp").options
    assert options["rtsp_transport"] == "udp"
    assert options["allowed_media_types"] == "video"
    (options,) = camera_address("http://h/x").options
    assert "rtsp_transport" not in options


@pytest.mark.parametrize("source", ["rtsp://h/x", "https://h/x"])
def test_a_camera_can_not_make_us_read_files(source: str) -> None:
    (options,) = camera_address(source).options
    assert not {"file", "data", "pipe", "concat", "subfile"} & set(options["protocol_whitelist"].split(","))


@pytest.mark.parametrize("source", ["0", "/dev/video0"])
def test_a_usb_camera_is_asked_for_jpeg_first(source: str) -> None:
    address = camera_address(source)
    assert (address.url, address.format, address.shown) == ("/dev/video0", "v4l2", "/dev/video0")
    assert [options.get("input_format") for options in address.options] == ["mjpeg", None]


@pytest.mark.parametrize("source", ["ftp://u:hunter2@h/x", "rtmp://h/x?key=hunter2", "file:///etc/passwd"])
def test_another_scheme_is_refused_without_its_credentials(source: str) -> None:
    with pytest.raises(CameraAddressError, match=r"expected rtsp://, .* a folder of pictures, got") as error:
        camera_address(source)
    assert "hunter2" not in str(error.value)


def test_an_address_needs_a_host() -> None:
    with pytest.raises(CameraAddressError, match=r"expected a host"):
        camera_address("rtsp:///x")


def test_files_are_not_live() -> None:
    assert [is_live(s) for s in ("rtsp://h", "http://h", "3", "/dev/video12", "a.mp4", "pictures", "1234.mp4")] == [
        *[True] * 4,
        *[False] * 3,
    ]


def test_a_stream_is_named_by_host_and_path_without_the_password() -> None:
    assert stream_name(camera_address("rtsp://u:hunter2@h:554/x?k=1")) == "h:554/x?…"
    assert stream_name(camera_address("2")) == "video2"


def test_credentials_are_hidden_once_an_address_is_read() -> None:
    hide_credentials_of("rtsp://u:hunter2@h/x")
    hide_credentials_of("recording.mp4")
    assert "hunter2" not in logs.scrub("nothing but hunter2")
