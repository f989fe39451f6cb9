"""What the trouble of one output topic does to the others: the table of docs/operate.md, on Apache Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.health_topic import HealthTopic
from gradwatch.streams.outbox import Outbox
from gradwatch.streams.sinks import KafkaSink
from gradwatch.streams.transport.admin import delete_topics
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.transport.state import StateTopic
from gradwatch.streams.wire.messages import Disturbance, DisturbanceState, HealthRecord, OutcomeCause
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record

from ..brokers import make_topics
from ..builders import frame_report, shift_alert
from ..faults.topic_faults import FAULTS
from ..waiting import LIMIT_S, wait_until

FRAMES = 20
MUST_NOT_BE_LOST = ("reports", "alerts", "state")
BEST_EFFORT = ("overlays", "health", "dlq")


class Outputs:
    """All that a worker publishes, sent as it sends it."""

    def __init__(self, servers: str) -> None:
        self.servers, self.topics, self.sent = servers, make_topics(servers, 1), 0
        lossless = BoundedProducer(servers, independent=True)
        self.best_effort = BoundedProducer(servers, independent=True, share=0.3)
        for name in MUST_NOT_BE_LOST:
            assert lossless.learn(self.name_of(name), LIMIT_S)
        for name in BEST_EFFORT:
            assert self.best_effort.learn(self.name_of(name), LIMIT_S)
        self.outbox = Outbox(lossless)
        self.sink = KafkaSink(self.outbox, self.topics, self.best_effort)
        self.letters = DeadLetters(self.best_effort, self.topics)
        self.health = HealthTopic(self.best_effort, self.topics)
        self.state = StateTopic(self.outbox, self.topics.state)

    def name_of(self, output: str) -> str:
        name: str = getattr(self.topics, output)
        return name

    def send(self, frames: int) -> None:
        for _ in range(frames):
            seq = self.sent = self.sent + 1
            self.sink.publish(
                frame_report("cam", seq),
                {"circles": [], "texts": [{"text": "rain"}]},
                [shift_alert("cam", seq, last_seq=seq)],
            )
            assert self.state.try_write(0, f"cam/{seq}", b"state" * 50, seq) is not None
            moment = HealthRecord("cam", "run", Disturbance.GAP, DisturbanceState.MOMENT, seq, seq, seq)
            self.health.put(moment)
            record = Record(self.topics.frames, 0, seq, 0, b"cam", b"GIF89a" * 50, ())
            self.letters.publish(record, BadRecordError(OutcomeCause.UNDECODABLE, "no picture"), "decode")

    def wait_for(self, output: str, seqs: range) -> None:
        """Until the topic has the output of these frames."""
        missing = set(seqs)
        with TopicReader(self.servers, [self.name_of(output)]) as reader:

            def enough() -> bool:
                missing.difference_update(seq_of(record) for record in reader.poll(0.2))
                return not missing

            wait_until(enough, what=lambda: f"{output} of frames {missing}")


def seq_of(record: Record) -> int:
    """The frame that an output is about."""
    headers = {name: (value or b"").decode() for name, value in record.headers}
    text = headers.get("gw_seq") or headers.get("dlq_offset") or headers.get("gw_version")
    return int(text) if text else json.loads(record.value or b"")["last_seq"]


@pytest.fixture
def outputs(kafka: str) -> Iterator[Outputs]:
    made = Outputs(kafka)
    yield made
    made.outbox.close(1.0)
    made.best_effort.close(1.0)
    delete_topics(kafka, made.topics.settings())


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("output", [*MUST_NOT_BE_LOST, *BEST_EFFORT])
def test_trouble_of_one_output_is_its_own(outputs: Outputs, output: str, fault: str) -> None:
    outputs.send(1)
    assert outputs.outbox.flush(LIMIT_S)
    assert outputs.best_effort.flush(LIMIT_S)
    mend = FAULTS[fault](outputs.servers, outputs.topics, outputs.name_of(output))
    outputs.send(FRAMES)
    sent = range(2, 2 + FRAMES)
    for other in {*MUST_NOT_BE_LOST, *BEST_EFFORT} - {output}:
        outputs.wait_for(other, sent)
    mend()
    if output in MUST_NOT_BE_LOST:
        outputs.wait_for(output, sent)
        assert outputs.outbox.flush(LIMIT_S)
        return

    def takes_again() -> bool:
        outputs.send(1)
        assert outputs.best_effort.flush(LIMIT_S)
        with TopicReader(outputs.servers, [outputs.name_of(output)]) as reader:
            return outputs.sent in {seq_of(record) for record in reader.poll(1.0)}

    wait_until(takes_again)
