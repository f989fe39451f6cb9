from __future__ import annotations

from http.client import IncompleteRead, RemoteDisconnected
from ssl import SSLError

import av
import pytest

from gradwatch.streams.cameras.camera_error import TIMEOUT_MESSAGE, camera_error
from gradwatch.streams.wire.messages import Disturbance

SHOWN = "rtsp://h/{x}?…"  # braces are legal in an address


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (av.error.FileNotFoundError, f"no camera at {SHOWN}; expected one of those on this machine: "),
        (av.error.HTTPNotFoundError, f"{SHOWN} has no stream (404)"),
        (av.error.ConnectionRefusedError, f"nobody listens at {SHOWN}"),
        (av.error.EOFError, f"{SHOWN} closed the connection"),
        (av.error.ExitError, TIMEOUT_MESSAGE.format(shown=SHOWN, timeout_s=4.0)),
        (av.error.InvalidDataError, f"{SHOWN} sends something other than video"),
        (av.error.OSError, f"{SHOWN} can't be reached or read (EIO)"),
        (ConnectionRefusedError, f"nobody listens at {SHOWN}"),
        (RemoteDisconnected, f"{SHOWN} closed the connection"),
        (IncompleteRead, f"{SHOWN} closed the connection"),
        (TimeoutError, TIMEOUT_MESSAGE.format(shown=SHOWN, timeout_s=4.0)),
        (SSLError, f"{SHOWN} can't be reached or read (SSLError)"),
    ],
)
def test_errors_are_explained_without_their_text(kind: type[Exception], expected: str) -> None:
    error = camera_error(kind(5, "rtsp://u:hunter2@h/x failed"), SHOWN, 4.0)
    assert str(error).startswith(expected)
    assert "hunter2" not in str(error)
    assert error.disturbance is Disturbance.DISCONNECTED


def test_refused_credentials_are_their_own_disturbance() -> None:
    error = camera_error(av.error.HTTPUnauthorizedError(5, "hunter2"), SHOWN, 4.0)
    assert error.disturbance is Disturbance.UNAUTHORIZED
    assert "hunter2" not in str(error)
