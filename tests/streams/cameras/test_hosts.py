"""RTSP cameras that redirect; a socket plays them, because no RTSP server at hand does that."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from gradwatch.streams.cameras import hosts
from gradwatch.streams.cameras.address import CameraAddress, camera_address
from gradwatch.streams.cameras.camera_error import CameraError
from gradwatch.streams.cameras.hosts import checked_redirects


@contextmanager
def rtsp_camera(answers: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Answers each method with its text; yields the address, and the requests that came."""
    requests: list[str] = []

    def serve() -> None:
        with suppress(OSError):  # the server is closed
            while True:
                client, _ = server.accept()
                with client:
                    while data := client.recv(4096).decode():
                        requests.append(data)
                        client.sendall(answers[data.split()[0]].encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", requests
        server.shutdown(socket.SHUT_RDWR)


def check(address: CameraAddress) -> None:
    with checked_redirects(address):
        pass


OK = "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"


def moved(location: str) -> str:
    return f"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nlocation:  {location}\r\n\r\n"


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE"])
def test_a_camera_that_leads_to_another_host_is_refused(method: str) -> None:
    answers = {"OPTIONS": OK, "DESCRIBE": OK} | {method: moved("rtsp://127.0.0.2:554/x")}
    with rtsp_camera(answers) as (host, requests):
        with pytest.raises(CameraError, match=r"leads to the host '127\.0\.0\.2'"):
            check(camera_address(f"rtsp://user:hunter2@{host}/x"))
        assert "hunter2" not in "".join(requests)


def test_a_camera_may_lead_to_its_own_host_and_to_those_allowed() -> None:
    with rtsp_camera({"OPTIONS": OK, "DESCRIBE": OK}) as (target, requests):
        with rtsp_camera({"OPTIONS": moved(f"rtsp://{target}/y")}) as (host, _):
            check(camera_address(f"rtsp://{host}/x"))
        assert [request.split()[:2] for request in requests] == [
            ["OPTIONS", f"rtsp://{target}/y"],
            ["DESCRIBE", f"rtsp://{target}/y"],
        ]


def test_a_camera_that_does_not_answer_is_left_to_the_attempt_to_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    check(camera_address(f"rtsp://127.0.0.1:{port}/x"))


@pytest.mark.parametrize("location", ["file:///etc/passwd", "rtsp://[", "concat:a|b"])
def test_a_camera_leads_to_network_streams_only(location: str) -> None:
    with rtsp_camera({"OPTIONS": moved(location)}) as (host, _), pytest.raises(CameraError):
        check(camera_address(f"rtsp://{host}/x"))


def test_a_camera_that_is_silent_is_not_waited_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "OPEN_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(CameraError, match="sent nothing for"):
        check(camera_address(f"rtsp://127.0.0.1:{server.getsockname()[1]}/x"))
