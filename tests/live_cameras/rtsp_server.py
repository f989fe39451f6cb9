"""A small RTSP server on loopback, for tests of cameras: `/usr/bin/python3 rtsp_server.py --port 8554 --codec h264`.

Needs GStreamer with its RTSP server and PyGObject (Debian: gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good and
-ugly, python3-gi). The stream is at /cam. Every picture carries its number as a row of `BITS` black and white fields,
lowest bit first, and sensor noise below it. Standard input takes one command a line:

    freeze | thaw          repeat the last picture, number and all | go on
    pause | resume         send nothing, but keep connections | go on
    size WIDTH HEIGHT      pictures of another size
    level LUMA             a flat scene of this luma (0 black, 255 white) with no noise; "level" alone: noise again
    password PASSWORD      the only password from now on

It prints `ready` once it listens, and `sent N` for every picture when --verbose.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

BITS = 16
FIELD_PX = 16  # a side of a field: it survives any compression
SCENE = 110  # luma

ENCODERS = {
    # The payloader sends parameter sets before each slice of a key frame, not once a picture.
    "h264": "x264enc threads={slices} tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=1500 "
    "! rtph264pay name=pay0 pt=96 config-interval=-1",
    "mjpeg": "jpegenc quality=85 ! rtpjpegpay name=pay0 pt=26",
}


class Scene:
    """Pictures as I420 bytes: numbered, noisy, and changed by the commands."""

    def __init__(self, width: int, height: int, first: int, noise: float) -> None:
        self.width, self.height, self.number, self.noise = width, height, first, noise
        self.frozen = self.paused = False
        self.level: int | None = None
        self._last: tuple[bytes, int, int] | None = None
        rng = random.Random(0)
        self._grain = bytes(min(255, max(0, round(rng.gauss(SCENE, noise)))) for _ in range(1 << 18))
        self._rng = rng

    def next(self) -> tuple[bytes, int, int] | None:
        """The picture to send now and its width and height; None while paused."""
        if self.paused:
            return None
        if self.frozen and self._last is not None:
            return self._last
        self._last = (self._draw(), self.width, self.height)
        self.number += 1
        return self._last

    def _draw(self) -> bytes:
        width, height = self.width, self.height
        chroma = b"\x80" * (width * height // 2)
        if self.level is not None:
            return bytes([self.level]) * (width * height) + chroma
        fields = b"".join((b"\xeb" if self.number >> bit & 1 else b"\x10") * FIELD_PX for bit in range(BITS))
        row = fields[:width] + bytes([SCENE]) * max(0, width - len(fields))
        rows = []
        for _ in range(height - FIELD_PX):
            start = self._rng.randrange(len(self._grain) - width)
            rows.append(self._grain[start : start + width])
        return row * FIELD_PX + b"".join(rows) + chroma


class Camera(GstRtspServer.RTSPMediaFactory):
    """One stream that all clients share."""

    def __init__(self, scene: Scene, codec: str, rate_hz: int, gop: int, slices: int, verbose: bool) -> None:
        super().__init__()
        self.scene, self.rate_hz, self.verbose = scene, rate_hz, verbose
        encoder = ENCODERS[codec].format(gop=gop, slices=slices)
        self.set_launch(f"( appsrc name=source is-live=true format=time do-timestamp=true ! {encoder} )")
        self.set_shared(True)
        self.connect("media-configure", self._configure)

    def _configure(self, _factory: object, media: GstRtspServer.RTSPMedia) -> None:
        source = media.get_element().get_child_by_name("source")
        ended = threading.Event()
        media.connect("unprepared", lambda _: ended.set())
        threading.Thread(target=self._feed, args=(source, ended), daemon=True).start()

    def _feed(self, source: Gst.Element, ended: threading.Event) -> None:
        size = None
        while not ended.wait(1 / self.rate_hz):
            picture = self.scene.next()
            if picture is None:
                continue
            content, width, height = picture
            if size != (width, height):
                size = (width, height)
                caps = f"video/x-raw,format=I420,width={width},height={height},framerate={self.rate_hz}/1"
                source.set_property("caps", Gst.Caps.from_string(caps))
            if source.emit("push-buffer", Gst.Buffer.new_wrapped(content)) != Gst.FlowReturn.OK:
                return
            if self.verbose:
                print("sent", self.scene.number - 1, flush=True)


def authentication(user: str, password: str, digest: bool) -> GstRtspServer.RTSPAuth:
    """Admits only clients with the password."""
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if digest:
        auth.set_supported_methods(2)  # GST_RTSP_AUTH_DIGEST
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


def permit(camera: Camera) -> None:
    """Permits the stream to the role `viewer` only."""
    permissions = GstRtspServer.RTSPPermissions()
    structure = Gst.Structure.new_empty("viewer")
    structure.set_value("media.factory.access", True)
    structure.set_value("media.factory.construct", True)
    permissions.add_role_from_structure(structure)
    camera.set_permissions(permissions)


def listen_to(commands: object, scene: Scene, server: GstRtspServer.RTSPServer, options: argparse.Namespace) -> None:
    """Executes the commands on standard input until it ends."""
    for line in commands:
        word, _, rest = line.strip().partition(" ")
        if word in ("freeze", "thaw"):
            scene.frozen = word == "freeze"
        elif word in ("pause", "resume"):
            scene.paused = word == "pause"
        elif word == "size":
            scene.width, scene.height = map(int, rest.split())
        elif word == "level":
            scene.level = int(rest) if rest else None
        elif word == "password":
            server.set_auth(authentication(options.user, rest, options.digest))
        else:
            print("unknown command", word, file=sys.stderr, flush=True)


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--codec", choices=list(ENCODERS), default="h264")
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--rate", type=int, default=15)
    parser.add_argument("--gop", type=int, default=15)
    parser.add_argument("--slices", type=int, default=2, help="of a picture in H.264")
    parser.add_argument("--noise", type=float, default=3.0)
    parser.add_argument("--first", type=int, default=0, help="number of the first picture")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    Gst.init(None)
    width, height = map(int, options.size.split("x"))
    scene = Scene(width, height, options.first, options.noise)
    camera = Camera(scene, options.codec, options.rate, options.gop, options.slices, options.verbose)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    if options.user:
        permit(camera)
        server.set_auth(authentication(options.user, options.password, options.digest))
    server.get_mount_points().add_factory("/cam", camera)
    if server.attach(None) == 0:
        sys.exit(f"port {options.port} is taken")
    print("ready", flush=True)
    threading.Thread(target=listen_to, args=(sys.stdin, scene, server, options), daemon=True).start()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
