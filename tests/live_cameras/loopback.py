"""Cameras on loopback: an RTSP server as a child process, MJPEG over HTTP, and the numbers in their pictures."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gradwatch.streams.transport.apache import is_listening
from gradwatch.streams.wire.pixels import decode_picture

from ..waiting import LIMIT_S, wait_until

SCRIPT = Path(__file__).parent / "rtsp_server.py"
PYTHON = "/usr/bin/python3"  # PyGObject is the system's
BITS, FIELD_PX = 16, 16
# Every character that ends a word, an address or a value in some notation.
PASSWORD = "p@s:s/w#r?d%&é'\"; x=1"
USER = "ad min"

PROBE = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(Gst.ElementFactory.find(name) for name in ("x264enc", "rtph264pay", "jpegenc", "rtpjpegpay", "appsrc"))
"""


def require_rtsp_server() -> None:
    """Skips where the RTSP server can't run."""
    try:
        done = subprocess.run([PYTHON, "-c", PROBE], capture_output=True, check=False, timeout=60)
    except OSError:
        done = None
    if done is None or done.returncode != 0:
        pytest.skip("no GStreamer RTSP server: install gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good and -ugly")


class RtspCamera:
    """An RTSP server that can be killed and restarted on its port; its pictures are numbered."""

    def __init__(self, port: int, codec: str = "h264", **options: object) -> None:
        self.port = port
        self._options = [f"--{name}={value}" for name, value in options.items() if value is not True]
        self._options += [f"--{name}" for name, value in options.items() if value is True]
        self._options += [f"--port={port}", f"--codec={codec}"]
        self._process: subprocess.Popen[str] | None = None
        self._starts = 0

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/cam"

    def start(self, *options: str) -> RtspCamera:
        """Starts the server; each start numbers its pictures from another thousand."""
        first = f"--first={1000 * (self._starts % 64)}"
        self._starts += 1
        command = [PYTHON, str(SCRIPT), *self._options, first, *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready"
        return self

    def tell(self, command: str) -> None:
        """Sends one of the commands of `rtsp_server.py`."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> RtspCamera:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.kill()


class MjpegCamera:
    """MJPEG over HTTP, as most IP cameras serve it: `pictures` in turn, `rate_hz` of them a second."""

    def __init__(self, pictures: list[bytes], rate_hz: float = 20.0) -> None:
        camera = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/single"):
                    self.send_response(200)
                    self.send_header("Content-Type", "image/jpeg")
                    self.end_headers()
                    self.wfile.write(pictures[0])
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    while not camera.ended.wait(1 / rate_hz):
                        picture = pictures[camera.sent % len(pictures)]
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                        self.wfile.write(head.encode() + picture + b"\r\n")
                        camera.sent += 1
                except OSError:
                    pass

            def log_message(self, *_: object) -> None:
                pass

        self.sent, self.ended = 0, threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/video"

    def __enter__(self) -> MjpegCamera:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


def number_of(jpeg: bytes) -> int:
    """The number that `rtsp_server.py` has drawn into a picture."""
    fields = decode_picture(jpeg)[FIELD_PX // 2, FIELD_PX // 2 : BITS * FIELD_PX : FIELD_PX].mean(axis=1)
    return sum(int(field > 128) << bit for bit, field in enumerate(fields))


def runs_of(numbers: list[int]) -> list[list[int]]:
    """The numbers grouped by start of the server, each of which begins with another thousand."""
    runs: list[list[int]] = []
    for number in numbers:
        if not runs or number // 1000 != runs[-1][-1] // 1000:
            runs.append([])
        runs[-1].append(number)
    return runs


def wait_until_listening(port: int) -> None:
    wait_until(lambda: is_listening(port), LIMIT_S, f"somebody listens on {port}")
