"""Why a camera can't be read, in words that help.

FFmpeg's own error texts quote the address with its password, so none is passed on: messages follow from the error type.
FFmpeg's errors are Python's, too, so that most messages serve both FFmpeg and our HTTP client.
"""

from __future__ import annotations

import errno
from http.client import HTTPException
from pathlib import Path

import av

from gradwatch import GradwatchError

from ..wire.messages import Disturbance

OPEN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 4.0  # without a packet, so that a hung socket is reported within 5 s

TIMEOUT_MESSAGE = "{shown} sent nothing for {timeout_s:g} s; is the camera on and reachable from here?"
NO_STREAM = "{shown} has no stream (404); expected the path in the camera's manual"
MESSAGES = (
    ((av.error.FileNotFoundError,), "no camera at {shown}; expected one of those on this machine: {devices}"),
    ((av.error.PermissionError,), "{shown} may not be opened; add the user to the group `video`"),
    ((av.error.HTTPNotFoundError,), NO_STREAM),
    ((ConnectionRefusedError,), "nobody listens at {shown}; is the camera on, and is the port right?"),
    ((ConnectionError, EOFError, HTTPException), "{shown} closed the connection"),
    ((av.error.ExitError, TimeoutError), TIMEOUT_MESSAGE),  # FFmpeg returns the first when PyAV interrupts it
    (
        (av.error.InvalidDataError, av.error.DemuxerNotFoundError, av.error.PatchWelcomeError),
        "{shown} sends something other than video; expected H.264, H.265 or MJPEG: is the path right?",
    ),
    ((av.error.ProtocolNotFoundError,), "{shown} redirects to a protocol that a camera may not use"),
)


class CameraError(GradwatchError):
    """Why a connection could not be opened or was lost, and what to do; contains no credential."""

    def __init__(self, message: str, disturbance: Disturbance = Disturbance.DISCONNECTED) -> None:
        super().__init__(message)
        self.disturbance = disturbance


def camera_error(error: Exception, shown: str, timeout_s: float) -> CameraError:
    """The meaning of an error of FFmpeg or of the HTTP client, without its text."""
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return unauthorized(shown)
    for types, message in MESSAGES:
        if isinstance(error, types):
            devices = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
            return CameraError(message.format(shown=shown, timeout_s=timeout_s, devices=devices))
    number = error.errno if isinstance(error, av.error.FFmpegError) else None  # that of an SSLError is no system's
    code = errno.errorcode.get(number or 0, type(error).__name__)
    return CameraError(f"{shown} can't be reached or read ({code}); check name, cable and network")


def unauthorized(shown: str) -> CameraError:
    """The camera does not let this user in."""
    refusal = f"{shown} refuses user and password; check them, and the user's permissions"
    return CameraError(refusal, Disturbance.UNAUTHORIZED)
