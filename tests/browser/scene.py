"""A running system to look at: an embedded broker, a worker, sources, the evidence service and the review page.

Every part is the program itself as a process of its own. Pictures are of synthetic drives, judged as they come; what
is known of them (challenge, true boxes) lies in a side file, as for any replayed recording.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import yaml

from gradwatch.monitor.children import Child
from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import Alert
from gradwatch.streams.wire.outputs import encode_alert
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.topics import Topics
from gradwatch.streams.world.drive import Drive, Swap

RATE_HZ = 5.0
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")
READY_S = 60.0
ROW = ".row"  # of the list of alerts, in the page


@dataclass(frozen=True, slots=True)
class Camera:
    """A synthetic drive that is played once as stream `stream_id`: `frames` at 5 Hz, the challenge from `onset` on."""

    stream_id: str
    setting: str
    seed: int
    frames: int
    challenge: str = "none"
    level: int = 5
    onset: int = 0
    swap: Swap | None = None
    first: int = 0

    def render(self, folder: Path, truth: Path) -> None:
        """The pictures into `folder`, what is known of them into `truth`."""
        drive = Drive(self.setting, self.seed, self.first + self.frames, RATE_HZ, swap=self.swap)
        folder.mkdir(parents=True)
        objects = {}
        for at in range(self.frames):
            seq = self.first + at
            (folder / f"{at:05d}.jpg").write_bytes(encode_jpeg(drive.image(seq)))
            objects[str(at)] = [
                {"xyxy": [float(edge) for edge in box.xyxy], "label": box.label, "kind": box.kind}
                for box in drive.truth(seq)
            ]
        tags = {"setting": self.setting, "seed": self.seed}
        if self.challenge != "none":
            tags |= {"challenge": self.challenge, "level": self.level}
        known = {"tags": tags, "onset_seq": self.onset, "objects": objects}
        truth.mkdir(exist_ok=True)
        (truth / f"{self.stream_id}.json").write_text(json.dumps(known))


@dataclass(slots=True)
class Scene:
    """Processes that run, and how to reach them."""

    folder: Path
    cameras: tuple[Camera, ...]
    broker: EmbeddedBroker
    topics: Topics = field(default_factory=Topics)
    children: list[Child] = field(default_factory=list)
    address: str = ""  # of its review page

    @property
    def config(self) -> str:
        """The option that names the configuration."""
        return f"--config={self.folder / 'gradwatch.yaml'}"

    @property
    def database(self) -> str:
        """The review database."""
        return f"sqlite:///{self.folder / 'review.db'}"

    def start(self, verb: str, *arguments: object) -> Child:
        """A process of gradwatch that ends with the scene."""
        log = self.folder / f"{verb}-{len(self.children)}.log"
        child = Child(verb, *arguments, log=log)
        self.children.append(child)
        return child

    def review(self, *options: str, port: int = 0) -> tuple[Child, str]:
        """A review process and its address; waits until it answers."""
        truth, evidence = f"--truth={self.folder / 'truth'}", f"--evidence={self.folder / 'evidence'}"
        database = f"--database={self.database}"  # of an option given twice the later one counts
        child = self.start("review", self.config, f"--port={port}", database, truth, evidence, *options)
        return child, wait_for_page(child)

    def play(self, camera: Camera, partition: int) -> Child:
        """Publishes a camera's pictures at their own pace."""
        options = [f"--stream-id={camera.stream_id}", f"--rate={RATE_HZ}", f"--partition={partition}"]
        if camera.challenge != "none":
            options += [f"--challenge={camera.challenge}", f"--level={camera.level}", f"--onset={camera.onset}"]
        return self.start("replay", self.folder / "pictures" / camera.stream_id, self.config, *options)

    @contextmanager
    def producing(self) -> Iterator[BoundedProducer]:
        """A producer on the scene's broker."""
        with BoundedProducer(self.broker.bootstrap_servers) as producer:
            yield producer

    def publish(self, producer: BoundedProducer, alert: Alert) -> None:
        """An alert's revision, on the alerts topic."""
        producer.send(self.topics.alerts, alert.stream_id.encode(), encode_alert(alert), [])

    def close(self) -> None:
        """Ends all processes."""
        for child in reversed(self.children):
            child.stop()
        self.broker.close()


def wait_for_page(child: Child) -> str:
    """The address that a review process says it serves, once it answers there."""
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        said = ADDRESS.search(child.log.read_text(errors="replace"))
        if said and answers(int(said[1])):
            return said[0].rstrip("/")
        if not child.running:
            child.wait()
        time.sleep(0.05)
    raise TimeoutError(f"gradwatch review did not answer within {READY_S:.0f} s: {child.log.read_text()[-2000:]}")


def answers(port: int) -> bool:
    """Whether the review process at `port` is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def ask(address: str, path: str) -> dict:
    """JSON of the API."""
    host, _, port = address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("GET", f"/api/v1{path}")
        return msgspec.json.decode(connection.getresponse().read())
    finally:
        connection.close()


def wait_until(holds, timeout_s: float, what: str) -> None:
    """Waits until `holds()`. Raises TimeoutError that says `what` did not come."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"expected within {timeout_s:.0f} s: {what}")
        time.sleep(0.1)


@contextmanager
def running(folder: Path, cameras: tuple[Camera, ...], evidence: bool = False) -> Iterator[Scene]:
    """A scene with its worker ready and nothing played yet; all pictures are drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    for camera in cameras:
        camera.render(folder / "pictures" / camera.stream_id, folder / "truth")
    broker = EmbeddedBroker(log_path=folder / "broker.log").__enter__()
    scene = Scene(folder, cameras, broker)
    try:
        ensure_topics(broker.bootstrap_servers, scene.topics, partitions=max(2, len(cameras)), replication_factor=1)
        streams = {camera.stream_id: {"calibration": "shipped", "source": "synthetic"} for camera in cameras}
        configuration = {"broker": {"bootstrap_servers": broker.bootstrap_servers}, "streams": streams}
        (folder / "gradwatch.yaml").write_text(yaml.safe_dump(configuration))
        ready = folder / "worker.ready"
        worker = scene.start("work", scene.config, "--policy=every_frame", f"--ready-file={ready}")
        worker.wait_until(ready.exists, READY_S)
        if evidence:
            scene.start("evidence", scene.config, f"--folder={folder / 'evidence'}")
        yield scene
    finally:
        scene.close()
