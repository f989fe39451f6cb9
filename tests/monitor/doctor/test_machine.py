"""The doctor's checks of packages, devices, codecs and the machine."""

from __future__ import annotations

import socket

import pytest

from gradwatch.monitor.config import Configuration
from gradwatch.monitor.doctor import codecs, devices, machine, packages
from gradwatch.monitor.doctor.results import Context, Status
from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.status_server import serving
from gradwatch.streams.transport.apache import free_ports

from .builders import by_subject, context

WELL = Status.OK


def test_one_runtime_is_enough_and_other_extras_are_optional() -> None:
    rows = packages.extras(Context(Configuration()))
    assert "extra demo" in by_subject(rows)
    assert not [row for row in rows if row.is_fault]
    assert all(row.remedy.startswith("pip install") for row in rows if row.status is not WELL)
    python, installed = packages.python_and_core(Context(Configuration()))
    assert (python.status, installed.status) == (WELL, WELL)


def test_a_package_of_another_version_is_named() -> None:
    from packaging.requirements import Requirement

    asked = [Requirement(text) for text in ("numpy<1", "numpy>=2", "no-such-package-here")]
    told = list(packages.broken_requirements(asked))
    assert len(told) == 2
    assert told[0].startswith("numpy 2")
    assert told[1] == "no no-such-package-here"


def test_a_device_that_is_not_there_is_wrong_only_where_it_is_asked_for() -> None:
    from gradwatch.models.onnx_runtime import CUDA, import_runtime

    if CUDA in import_runtime().get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    assert not [row for row in devices.onnx(context(worker={"device": "auto"})) if row.is_fault]
    (row,) = devices.onnx(context(worker={"device": "cuda"}))
    assert row.is_fault
    assert "worker.device: cpu" in row.remedy
    assert devices.cores(context(worker={"model_threads": 256}))[0].status is Status.WRONG


def test_codecs_are_tried_on_a_frame() -> None:
    rows = by_subject(codecs.codecs(Context(Configuration())))
    assert list(rows) == ["H.264", "HEVC", "MJPEG", "VP9"]
    assert rows["MJPEG"].status is WELL
    assert not any(row.needed for row in rows.values())
    watched = by_subject(codecs.codecs(context(cameras={"north": {"url": "rtsp://127.0.0.1/north"}})))
    assert watched["H.264"].needed
    assert codecs.try_codec("no-such", ("mjpeg",), "yuvj420p")[0] is Status.MISSING
    assert codecs.try_codec("mjpeg", ("no-such",), "yuvj420p")[0] is Status.UNKNOWN
    assert codecs.try_codec("h264", ("mjpeg",), "yuvj420p")[0] is Status.WRONG


def test_a_port_in_use_is_wrong() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (row,) = machine.ports(context(worker={"metrics_port": port}))
        assert row.is_fault
        assert str(port) in row.found
    assert machine.ports(context(worker={"metrics_port": port}))[0].status is WELL


def test_a_port_used_by_a_running_worker_is_ok() -> None:
    port = free_ports(1)[0]
    with serving(port, "127.0.0.1", Health()):
        (row,) = machine.ports(context(worker={"metrics_port": port}))
    assert row.status is WELL
    assert "a running gradwatch" in row.found


def test_free_memory_is_compared_with_what_a_worker_may_use() -> None:
    assert machine.memory(context(worker={"max_pending_bytes": 1 << 50}))[0].status is Status.WRONG
