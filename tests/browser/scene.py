"""A running system for tests: an embedded broker, a worker, sources, the evidence service and the review page.

Every part runs as its own gradwatch process. The pictures are those of synthetic drives; their ground truth
(challenge, true boxes) is in side files, as for any replayed recording.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

from ..waiting import LIMIT_S, wait_until

RATE_HZ = 5.0
ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+)/")
READY_S = 60.0
SECRETS: dict[str, str] = {}  # of the links of review processes, by address
ROW = ".row"  # selects the rows of the list of alerts


@dataclass(frozen=True, slots=True)
class Camera:
    """A synthetic drive of `frames` frames at 5 Hz, played once as `stream_id`; the challenge starts at `onset`."""

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
        """Writes the pictures to `folder` and their ground truth to `truth`."""
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
    """The running processes and how to reach them."""

    folder: Path
    cameras: tuple[Camera, ...]
    broker: EmbeddedBroker
    topics: Topics = field(default_factory=Topics)
    children: list[Child] = field(default_factory=list)
    address: str = ""  # of its review page

    @property
    def config(self) -> str:
        """The command-line option for the configuration file."""
        return f"--config={self.folder / 'gradwatch.yaml'}"

    @property
    def database(self) -> str:
        """URL of the review database."""
        return f"sqlite:///{self.folder / 'review.db'}"

    def start(self, verb: str, *arguments: object) -> Child:
        """Starts a gradwatch process that ends with the scene."""
        log = self.folder / f"{verb}-{len(self.children)}.log"
        child = Child(verb, *arguments, log=log)
        self.children.append(child)
        return child

    def review(self, *options: str, port: int = 0) -> tuple[Child, str]:
        """Starts a review process. Returns it and its address once it is ready."""
        truth, evidence = f"--truth={self.folder / 'truth'}", f"--evidence={self.folder / 'evidence'}"
        database = f"--database={self.database}"  # an option given twice: the last one wins
        link = self.folder / "review.link"  # one for all: each takes the secret that it finds
        options = (*options, f"--link-file={link}")
        child = self.start("review", self.config, f"--port={port}", database, truth, evidence, *options)
        address = wait_for_page(child)
        SECRETS[address] = link.read_text().strip().rpartition("=")[2]
        return child, address

    def play(self, camera: Camera, partition: int) -> Child:
        """Starts to publish a camera's pictures in real time."""
        options = [f"--stream-id={camera.stream_id}", f"--rate={RATE_HZ}", f"--partition={partition}"]
        if camera.challenge != "none":
            options += [f"--challenge={camera.challenge}", f"--level={camera.level}", f"--onset={camera.onset}"]
        return self.start("replay", self.folder / "pictures" / camera.stream_id, self.config, *options)

    def producing(self) -> BoundedProducer:
        """A producer for the scene's broker; closing it flushes."""
        return BoundedProducer(self.broker.bootstrap_servers)

    def publish(self, producer: BoundedProducer, alert: Alert) -> None:
        """Sends a revision of an alert to the alerts topic."""
        producer.send(self.topics.alerts, alert.stream_id.encode(), encode_alert(alert), [])

    def store(self, alert: Alert) -> None:
        """Publishes an alert and waits until the review process has stored it."""
        with self.producing() as producer:
            self.publish(producer, alert)
        wait_until(
            lambda: "comments" in ask(self.address, f"/alerts/{alert.alert_id}"), LIMIT_S, "the alert in the store"
        )

    def close(self) -> None:
        """Stops all processes."""
        for child in reversed(self.children):
            child.stop()
        self.broker.close()


def wait_for_page(child: Child) -> str:
    """Waits until a review process is ready. Returns its address, which it logs."""
    found: list[str] = []

    def is_ready() -> bool:
        if not child.running:
            child.wait()  # raises with the end of its log
        found[:] = ADDRESS.findall(child.log.read_text(errors="replace"))
        return bool(found) and is_serving(found[0])

    wait_until(is_ready, READY_S, "gradwatch review answers")
    return found[0]


def is_serving(address: str) -> bool:
    """Whether the review process at `address` is ready."""
    try:
        return request(address, "/login")[0] == 200
    except OSError:
        return False


def request(address: str, path: str, method: str = "GET", body: Any = None) -> tuple[int, bytes]:
    """Sends a request with a JSON body and the secret of the link. Returns status and content of the response."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    content = None if body is None else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRETS.get(address, '')}"}
    try:
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ask(address: str, path: str) -> dict:
    """The JSON of a GET request to the API."""
    found: dict = msgspec.json.decode(request(address, f"/api/v1{path}")[1])
    return found


@contextmanager
def running(folder: Path, cameras: tuple[Camera, ...], evidence: bool = False) -> Iterator[Scene]:
    """A scene whose pictures are rendered and whose worker is ready; nothing is played yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for camera in cameras:
        camera.render(folder / "pictures" / camera.stream_id, folder / "truth")
    broker = EmbeddedBroker(log_path=folder / "broker.log").__enter__()
    scene = Scene(folder, cameras, broker)
    try:
        ensure_topics(broker.bootstrap_servers, scene.topics, partitions=max(2, len(cameras)), replication_factor=1)
        streams = {camera.stream_id: {"calibration": "shipped", "source": "synthetic"} for camera in cameras}
        configuration = {
            "broker": {"bootstrap_servers": broker.bootstrap_servers},
            "worker": {"close_after_s": 86400},  # the sources end, and their alerts are looked at for minutes
            "streams": streams,
        }
        (folder / "gradwatch.yaml").write_text(yaml.safe_dump(configuration))
        ready = folder / "worker.ready"
        worker = scene.start("work", scene.config, "--policy=every_frame", f"--ready-file={ready}")
        worker.wait_until(ready.exists, READY_S)
        if evidence:
            scene.start("evidence", scene.config, f"--folder={folder / 'evidence'}")
        yield scene
    finally:
        scene.close()
