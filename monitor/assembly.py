"""Puts the parts together from one configuration."""

from __future__ import annotations

from pathlib import Path

from gradwatch.models.observe import Observer
from gradwatch.streams.sinks import SINKS, DeadLetters
from gradwatch.streams.topics import Topics
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer

from .calibration import Calibration, CalibrationMismatchError, check_origin
from .config import Configuration
from .judge import Judge
from .pipeline import Pipeline
from .state import load_calibration
from .worker import Worker

SHIPPED_CALIBRATION = Path(__file__).parent / "calibrations" / "synthetic.calibration"


def topics_of(configuration: Configuration) -> Topics:
    """The names of the topics."""
    return Topics(configuration.topics.prefix, configuration.topics.frames)


def build_observer(configuration: Configuration) -> Observer:
    """The networks, on the configured device. Raises DeviceError where that can't be had."""
    return Observer(configuration.models, configuration.worker.device, configuration.worker.model_threads)


def build_judge(configuration: Configuration, observer: Observer) -> Judge:
    """The judge of what `observer` observes."""
    return Judge(observer.heads, observer.models_id, configuration.judge)


def load_calibrations(configuration: Configuration, judge: Judge) -> dict[str, Calibration]:
    """The calibrations of the streams that name a file.

    Raises:
        CalibrationMismatchError: one was made for another model, configuration or source.
        FileNotFoundError: no such file.
    """
    calibrations = {}
    for stream_id, stream in configuration.streams.items():
        if stream.calibration is None:
            continue
        shipped = stream.calibration == "shipped"
        path = SHIPPED_CALIBRATION if shipped else Path(stream.calibration)
        calibration = load_calibration(path.read_bytes())
        source = stream.source or stream_id
        size = (calibration.origin.width, calibration.origin.height)  # the pictures' own size is checked as they come
        try:
            check_origin(calibration, judge.origin(source, size))
        except CalibrationMismatchError as error:
            raise CalibrationMismatchError(f"stream {stream_id!r}, file {path.name}: {error}") from error
        calibrations[stream_id] = calibration
    return calibrations


def build_worker(configuration: Configuration) -> tuple[Worker, BoundedProducer]:
    """A worker that has joined its group, and the producer to close after it."""
    broker, names = configuration.broker, topics_of(configuration)
    observer = build_observer(configuration)
    judge = build_judge(configuration, observer)
    calibrations = load_calibrations(configuration, judge)
    producer = BoundedProducer(broker.bootstrap_servers, broker.client)
    pipeline = Pipeline(observer, judge, SINKS["kafka"](producer, names), DeadLetters(producer, names), calibrations)
    consumer = FrameConsumer(
        broker.bootstrap_servers,
        names.frames,
        configuration.worker.group_id,
        broker.client,
        session_timeout_s=configuration.worker.session_timeout_s,
    )
    return Worker(consumer, pipeline, configuration.worker), producer
