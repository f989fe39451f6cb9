"""Builds a worker and its parts from a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from msgspec.structs import replace

from gradwatch import GradwatchError, MissingFileError
from gradwatch.models.observe import Observer
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.health_topic import HealthTopic
from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.metrics import STATES_REFUSED
from gradwatch.streams.outbox import Outbox
from gradwatch.streams.sinks import SINKS
from gradwatch.streams.transport.admin import add_partitions
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.transport.state import StateReader, StateTopic
from gradwatch.streams.wire.topics import Topics

from ..alarms.calibration import Calibration, CalibrationMismatchError, check_origin
from ..config import Configuration
from ..judging.judge import Judge
from .moved_streams import MovedStreams
from .ownership import Ownership
from .pipeline import Pipeline
from .stored_state import StateFormatError, load
from .stream_health import StreamHealth
from .threads import Worker
from .verdict_feed import CorrectionFeed

log = structlog.get_logger()

BEST_EFFORT_SHARE = 0.3  # of the budget for each of overlays, health records and dead letters
BEST_EFFORT_CLOSE_S = 1.0
SHIPPED_CALIBRATION = Path(__file__).parent.parent / "alarms" / "calibrations" / "synthetic.calibration"
MAX_CALIBRATION_BYTES = 64 * 2**20  # twenty times as much as any


def topics_of(configuration: Configuration) -> Topics:
    """The names of the topics."""
    names = configuration.topics
    return Topics(names.prefix, names.frames, names.lag_budget_s)


def build_observer(configuration: Configuration) -> Observer:
    """The networks, on the configured device. Raises DeviceError if it is not available."""
    return Observer(configuration.models, configuration.worker.device, configuration.worker.model_threads)


def build_judge(configuration: Configuration, observer: Observer) -> Judge:
    """The judge for the observations of `observer`."""
    return Judge(observer.heads, observer.models_id, configuration.judge)


def read_calibrations(configuration: Configuration) -> dict[str, Calibration]:
    """The calibrations of the streams that name a file, whatever they were made for.

    Raises StateFormatError for a file that holds none, MissingFileError for one that can't be read.
    """
    paths = {
        stream_id: SHIPPED_CALIBRATION if stream.calibration == "shipped" else Path(stream.calibration)
        for stream_id, stream in configuration.streams.items()
        if stream.calibration is not None
    }
    return {stream_id: _read_calibration(path, stream_id) for stream_id, path in paths.items()}


def _read_calibration(path: Path, stream_id: str) -> Calibration:
    try:
        size = path.stat().st_size
        if size > MAX_CALIBRATION_BYTES:
            raise StateFormatError(
                f"{path}: expected a calibration of at most {MAX_CALIBRATION_BYTES} bytes, got {size}"
            )
        return load(path.read_bytes(), Calibration)
    except OSError as error:
        raise MissingFileError(
            f"streams.{stream_id}.calibration: expected a file at {path}, got {error.strerror}; "
            f"make one: gradwatch calibrate RECORDING --source {stream_id} --out {path}"
        ) from error


def load_calibrations(configuration: Configuration, judge: Judge) -> dict[str, Calibration]:
    """The same, made for `judge` and for these streams.

    Raises:
        CalibrationMismatchError: one was made for another model, configuration or source.
        StateFormatError, MissingFileError: see `read_calibrations`.
    """
    calibrations = read_calibrations(configuration)
    for stream_id, calibration in calibrations.items():
        source = configuration.streams[stream_id].source or stream_id
        size = (calibration.origin.width, calibration.origin.height)  # the pictures' own size is checked as they come
        try:
            check_origin(calibration, judge.origin(source, size))
        except CalibrationMismatchError as error:
            raise CalibrationMismatchError(f"the calibration file of stream {stream_id!r}: {error}") from error
    return calibrations


def usable_calibrations(configuration: Configuration, judge: Judge) -> tuple[dict[str, Calibration], dict[str, str]]:
    """Those of `load_calibrations` that can be used, and by stream why another one can't: a missing, damaged or foreign
    file is the trouble of its stream, which then calibrates on its own start."""
    usable: dict[str, Calibration] = {}
    refused: dict[str, str] = {}
    for stream_id, stream in configuration.streams.items():
        try:
            usable |= load_calibrations(replace(configuration, streams={stream_id: stream}), judge)
        except GradwatchError as error:
            refused[stream_id] = str(error)
            STATES_REFUSED.labels(stream_id, "calibration_file").inc()
            log.error("calibration refused, the stream calibrates on its own start", stream=stream_id, why=str(error))
    return usable, refused


def build_worker(configuration: Configuration, health: Health | None = None) -> tuple[Worker, Callable[[float], None]]:
    """A worker that has joined its group, and what closes its producers after it, within so many seconds."""
    broker, names = configuration.broker, topics_of(configuration)
    observer = build_observer(configuration)
    judge = build_judge(configuration, observer)
    calibrations, refused = usable_calibrations(configuration, judge)
    outbox = Outbox(_producer(configuration, (names.reports, names.alerts, names.state)))
    best_effort = _producer(configuration, (names.overlays, names.health, names.dlq), BEST_EFFORT_SHARE)
    corrections = CorrectionFeed(lambda: TopicReader(broker.bootstrap_servers, [names.verdicts], broker.client))
    corrections.start()
    pipeline = Pipeline(
        observer,
        judge,
        SINKS["kafka"](outbox, names, best_effort),
        DeadLetters(best_effort, names),
        calibrations,
        configuration.worker.max_pixels,
        corrections.book,
        StreamHealth(HealthTopic(best_effort, names).put),
    )
    pipeline.refused_calibrations = refused
    ownership = Ownership(
        pipeline,
        _state_reader(configuration),
        StateTopic(outbox, names.state),
        configuration.worker.state_interval_s,
        MovedStreams(_state_reader(configuration)),
        configuration.worker.remove_state_after_s,
    )
    consumer = FrameConsumer(
        broker.bootstrap_servers,
        names.frames,
        configuration.worker.group_id,
        broker.client,
        session_timeout_s=configuration.worker.session_timeout_s,
        instance_id=configuration.worker.instance_id,
        owner=ownership,
    )

    def close(timeout_s: float) -> None:
        outbox.close(timeout_s)
        best_effort.close(BEST_EFFORT_CLOSE_S)

    return Worker(consumer, pipeline, configuration.worker, health, ownership, outbox.blocked), close


def _producer(configuration: Configuration, topics: Iterable[str], share: float = 1.0) -> BoundedProducer:
    """A producer that knows `topics`, as far as they are there: else the first record of each would have to wait."""
    broker = configuration.broker
    producer = BoundedProducer(broker.bootstrap_servers, broker.client, independent=True, share=share)
    for topic in topics:
        producer.learn(topic)
    return producer


def _state_reader(configuration: Configuration) -> StateReader:
    servers, names, client = (
        configuration.broker.bootstrap_servers,
        topics_of(configuration),
        configuration.broker.client,
    )
    return StateReader(servers, names.state, client, add_partitions=lambda: add_partitions(servers, names, client))
