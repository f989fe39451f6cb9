"""A worker whose networks are replaced by numbers that follow from a frame's seq: for tests that kill it.

python tests/streams/transport/stub_worker.py BROKER FRAMES PREFIX OBSERVE_S [INSTANCE_ID]
"""

from __future__ import annotations

import signal
import sys
import time

import numpy as np

from gradwatch.models.outputs import Detections, Head, HeadOutputs, Observation, Tiles
from gradwatch.monitor.alarms.calibration import AlarmBudget
from gradwatch.monitor.config import WorkerSettings
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.worker.ownership import Custody
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.threads import Worker
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.sinks import KafkaSink
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.state import StateReader, StateTopic
from gradwatch.streams.wire.topics import Topics

START, SHIFTED = 100, range(125, 165)  # seqs: of the stream's own start, of an anomaly
CLASSES = 4


class SeqObserver:
    """One sign that drifts across the picture, tiles and statistics; the same for a seq, whoever asks."""

    def __init__(self, observe_s: float) -> None:
        self.observe_s = observe_s
        weight, bias = np.eye(CLASSES, 8, dtype=np.float32), np.zeros(CLASSES, np.float32)
        self.heads = {"signs": Head(weight, bias, "softmax", tuple("abcd"))}

    def observe(self, images: list[np.ndarray], seqs: list[int]) -> list[Observation]:
        time.sleep(self.observe_s * len(seqs))
        return [self._observation(seq) for seq in seqs]

    def _observation(self, seq: int) -> Observation:
        random = np.random.default_rng(seq)
        moved = 8.0 if seq in SHIFTED else 0.0
        features = random.normal(size=(1, 8)).astype(np.float32) + np.eye(1, 8, dtype=np.float32) * 5
        x = 20 + 4.0 * seq % 900
        detections = Detections(np.float32([[x, 100, x + 40, 140]]), np.float32([0.9]), np.int32([0]))
        tiles = Tiles(
            np.stack([random.permutation(10)[:9], random.permutation(18)[:9]], axis=1).astype(np.int32),
            np.exp(-5 + 0.3 * random.normal(size=9) + 0.3 * moved).astype(np.float32),
            (0.5 + 0.05 * random.normal(size=(9, 4)) - 0.05 * moved).astype(np.float32),
            random.normal(size=(9, 64)).astype(np.float32),
        )
        outputs = HeadOutputs(np.int32([0]), features @ self.heads["signs"].weight.T, features)
        statistics = (random.normal(size=12) + moved).astype(np.float32)
        return Observation((960, 540), detections, {"signs": outputs}, tiles, statistics)


def build(
    broker: str, topics: Topics, observe_s: float, instance_id: str | None = None
) -> tuple[Worker, BoundedProducer]:
    """A worker as `assembly.build_worker` makes it, but for the networks."""
    observer = SeqObserver(observe_s)
    rules = JudgeSettings(calibration_frames=START, alarms=AlarmBudget(bootstrap_hours=1))
    judge = Judge(observer.heads, "stub", rules)
    producer = BoundedProducer(broker)
    pipeline = Pipeline(observer, judge, KafkaSink(producer, topics), DeadLetters(producer, topics))
    custody = Custody(pipeline, StateReader(broker, topics.state), StateTopic(producer, topics.state), 0.2)
    group = topics.prefix + "group"
    consumer = FrameConsumer(
        broker, topics.frames, group, session_timeout_s=2.0, instance_id=instance_id, owner=custody
    )
    return Worker(consumer, pipeline, WorkerSettings(policy="every_frame"), custody=custody), producer


if __name__ == "__main__":
    server, frames_topic, prefix, pause_s, *names = sys.argv[1:]
    worker, sending = build(server, Topics(prefix, frames_topic), float(pause_s), *names)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()
    sending.close()
