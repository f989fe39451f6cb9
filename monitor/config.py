"""Reads the configuration, one YAML file, into frozen structs; `deploy/gradwatch.yaml` has every key with comments.

`${NAME}` and `${NAME:default}` are replaced from the environment, or from the file that the variable `NAME_FILE`
names, so that secrets stay out of the YAML file. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gradwatch import GradwatchError
from gradwatch.models.observe import ObserverSettings
from gradwatch.ranges import Bytes, FrameRate, Partition, Port, PositiveSeconds, Seconds, Threads, checked
from gradwatch.streams.cameras.address import hide_credentials_of
from gradwatch.streams.observability.logs import hide_credentials
from gradwatch.streams.transport.client.settings import check_client_settings
from gradwatch.streams.wire.messages import check_stream_id
from gradwatch.streams.wire.pixels import MAX_PIXELS
from gradwatch.streams.wire.topics import LAG_BUDGET_S, Topics

from .evidence.settings import EvidenceSettings
from .judging.settings import JudgeSettings
from .review.settings import ReviewSettings
from .yaml_file import YamlFileError, read_yaml

Name = Annotated[str, Meta(min_length=1)]
TopicName = Annotated[str, Meta(pattern="^[a-zA-Z0-9._-]{1,249}$")]
TopicPrefix = Annotated[str, Meta(pattern="^[a-zA-Z0-9._-]{0,200}$")]
LagBudget = Annotated[float, Meta(ge=0, le=365 * 86_400)]
SECRET_BYTES = 64 * 1024
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")


class ConfigurationError(GradwatchError, ValueError):
    """The configuration can't be used; the message says where, what was expected and what was found."""


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Address of Kafka; each setting of `client` goes to those of kafka-python's clients that know it."""

    bootstrap_servers: Name = "127.0.0.1:9092"
    client: dict[str, Any] = {}

    def __post_init__(self) -> None:
        check_client_settings(self.client)


class TopicNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The topic of the frames, and the prefix of all output topics."""

    frames: TopicName = "gradwatch.frames"
    prefix: TopicPrefix = "gradwatch."
    lag_budget_s: LagBudget = LAG_BUDGET_S  # added to the 65 s of an alert's evidence: how long frames are kept

    def __post_init__(self) -> None:
        Topics(self.prefix, self.frames, self.lag_budget_s)  # raises ValueError where two topics have one name


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the worker consumes frames, and the resources that it uses."""

    group_id: Name = "gradwatch"
    policy: Literal["live", "every_frame"] = "live"
    max_frame_age_s: PositiveSeconds = 0.5  # live: older frames are dropped before decoding
    max_pending_frames: Annotated[int, Meta(ge=1, le=10_000)] = 2  # live: for each stream; the newest win
    max_pending_bytes: Bytes = 128 * 1024 * 1024  # every_frame: above it the consumer pauses
    max_pixels: Annotated[int, Meta(ge=1, le=2**30)] = MAX_PIXELS  # larger pictures are refused before they are decoded
    device: Literal["auto", "cpu", "cuda"] = "auto"
    model_threads: Threads = 1
    decode_threads: Threads = 1
    max_batch: Annotated[int, Meta(ge=1, le=1024)] = 1  # frames, of any streams, in one batch of the networks
    max_wait_s: Seconds = 0.01  # how long an incomplete batch waits for more frames
    drain_s: Seconds = 10.0  # how long a stopping worker may finish frames in progress
    session_timeout_s: Annotated[float, Meta(ge=1, le=1800)] = 10.0
    instance_id: Name | None = None  # makes a static group member: unique to each worker, the same after a restart
    state_interval_s: Seconds = 1.0  # time between two stored states; after a crash later frames are judged again
    close_after_s: PositiveSeconds = 60.0  # without a frame: the stream's open alerts are closed
    forget_after_s: PositiveSeconds = 3600.0  # without a frame: the memory and the metrics of the stream are freed
    remove_state_after_s: Annotated[float, Meta(gt=0, le=1e9)] = 30 * 86_400.0  # … and its stored state is removed
    metrics_port: Port | None = None  # serves /metrics, /healthz and /readyz
    metrics_address: str = "127.0.0.1"  # address of that port; "0.0.0.0" where Prometheus runs elsewhere
    metrics_streams: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000  # with metrics of their own; others share `other`
    unhealthy_after_s: PositiveSeconds = 30.0  # a busy thread that is silent for longer is unhealthy


class StreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one stream. Without a calibration file it calibrates on its own start."""

    calibration: str | None = None  # a file made by `gradwatch calibrate`, or "shipped" (source: synthetic)
    source: str | None = None  # source that the calibration file names; default: the stream's id


class CameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A camera `url` for `gradwatch attach`; `streams/cameras/address.py` lists its forms. It may hold credentials."""

    url: str | Annotated[int, Meta(ge=0, le=255)]
    transport: Literal["tcp", "udp"] = "tcp"  # for RTSP
    rate_hz: FrameRate | None = None  # upper limit of frames a second; None: all
    partition: Partition | None = None  # of the frames topic; None: by key
    allow_hosts: tuple[str, ...] = ()  # where its redirects and playlists may lead to, beside its own host

    def __post_init__(self) -> None:
        hide_credentials_of(str(self.url))


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of gradwatch's settings."""

    broker: BrokerSettings = BrokerSettings()
    topics: TopicNames = TopicNames()
    worker: WorkerSettings = WorkerSettings()
    models: ObserverSettings = ObserverSettings()
    judge: JudgeSettings = JudgeSettings()
    streams: dict[str, StreamSettings] = {}
    cameras: dict[str, CameraSettings] = {}
    evidence: EvidenceSettings = EvidenceSettings()
    review: ReviewSettings = ReviewSettings()

    def __post_init__(self) -> None:
        for stream_id in (*self.streams, *self.cameras):
            check_stream_id(stream_id)


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Configuration:
    """The configuration in the YAML file at `path`, or the defaults. Raises ConfigurationError."""
    if path is None:
        return Configuration()
    try:
        tree = read_yaml(path)
    except OSError as error:
        raise ConfigurationError(f"expected a configuration file at {path}, got {error.strerror}") from error
    except YamlFileError as error:
        raise ConfigurationError(str(error)) from None
    configuration = from_tree({} if tree is None else _interpolated(tree, environment), str(path))
    # from now on no log contains them, whatever library writes it
    hide_credentials(configuration.broker.client)
    hide_credentials({"database": configuration.review.database})
    return configuration


def from_tree(tree: object, where: str = "configuration") -> Configuration:
    """The configuration in a tree of plain values; `where` names it in errors. Raises ConfigurationError."""
    try:
        configuration: Configuration = checked(tree, Configuration)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}{_nearest(str(error))}") from error
    return configuration


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file."""
    return msgspec.json.schema(Configuration)


def _interpolated(tree: Any, environment: Mapping[str, str]) -> Any:
    """Replaces the variables in the texts of a parsed tree, so that a password may contain any character."""
    if isinstance(tree, dict):
        return {key: _interpolated(value, environment) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_interpolated(value, environment) for value in tree]
    return VARIABLE.sub(lambda match: _value(match, environment), tree) if isinstance(tree, str) else tree


def _value(match: re.Match[str], environment: Mapping[str, str]) -> str:
    name, default = match.group(1), match.group(2)
    if name not in environment and (file := environment.get(f"{name}_FILE")) is not None:
        return _secret(f"{name}_FILE", Path(file))
    found = environment.get(name, default)
    if found is None:
        raise ConfigurationError(f"environment variable {name} is not set and has no default, nor is {name}_FILE")
    return found


def _secret(name: str, path: Path) -> str:
    """The content of a secret's file, as Docker and Kubernetes mount it, without the newline at its end."""
    try:
        with path.open("rb") as file:
            return file.read(SECRET_BYTES).decode().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"expected a text file at {path}, which {name} names, got {type(error).__name__}"
        ) from None


def _nearest(message: str) -> str:
    """` (did you mean …?)` for an error about an unknown key."""
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if unknown is None:
        return ""
    known = sorted({key for definition in schema()["$defs"].values() for key in definition.get("properties", {})})
    close = difflib.get_close_matches(unknown.group(1), known, n=1, cutoff=0.0)
    return f" (did you mean `{close[0]}`?)" if close else ""
