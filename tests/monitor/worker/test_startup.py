"""A worker on the embedded broker as those who look after it see it: /healthz, /readyz, and Prometheus."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from gradwatch.monitor.alarms.calibration import Calibration
from gradwatch.monitor.config import Configuration, StreamSettings, WorkerSettings
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.worker.build import SHIPPED_CALIBRATION, build_judge, build_observer, usable_calibrations
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.startup import bound_calibrations, outputs, require_loading, require_worker
from gradwatch.monitor.worker.stored_state import dump, load
from gradwatch.monitor.worker.threads import Worker
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.observability import metrics as telemetry
from gradwatch.streams.observability.health import Condition, Health
from gradwatch.streams.observability.status_server import StatusServer
from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.sinks import KafkaSink
from gradwatch.streams.transport.apache import free_ports
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer

from ...brokers import make_topics
from ...builders import StubObserver, draw_observations, gray_jpeg
from ...waiting import LIMIT_S, wait_until

PICTURES = [gray_jpeg(10 * i, (16, 16)) for i in range(8)]
SILENCE_S = 2.0  # after which a thread counts as dead here


class Run:
    """A worker on a thread, its observer, and the port at which it is looked after."""

    def __init__(self, servers: str, producer: BoundedProducer) -> None:
        self.topics = make_topics(servers, partitions=1)
        settings = WorkerSettings(policy="every_frame", unhealthy_after_s=SILENCE_S, drain_s=3.0)
        self.producer, self.observer, self.raised = producer, StubObserver(draw_observations(1, seed=0)), None
        self.health = Health(settings.unhealthy_after_s)
        pipeline = Pipeline(
            self.observer,
            Judge({}, "models", JudgeSettings()),
            KafkaSink(producer, self.topics, producer),
            DeadLetters(producer, self.topics),
        )
        consumer = FrameConsumer(servers, self.topics.frames, self.topics.prefix + "group", session_timeout_s=6.0)
        self.worker = Worker(consumer, pipeline, settings, self.health)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self.raised = error

    def publish(self, stream_id: str = "north") -> None:
        publish(jpegs(PICTURES), self.producer, self.topics, stream_id, pace=False)


@contextmanager
def serving_worker(servers: str) -> Iterator[tuple[Run, int]]:
    with BoundedProducer(servers) as producer:
        run = Run(servers, producer)
        with StatusServer(0, health=run.health) as server:
            try:
                yield run, server.port
            finally:
                run.worker.stop()
                if run.thread.ident is not None:
                    run.thread.join(LIMIT_S)
                    assert not run.thread.is_alive()


@pytest.fixture
def run(embedded: str) -> Iterator[tuple[Run, int]]:
    """A worker that has not begun."""
    with serving_worker(embedded) as served:
        yield served


@pytest.fixture(scope="module")
def working(embedded: str) -> Iterator[tuple[Run, int]]:
    """A worker that is ready; several tests share it and leave it so."""
    with serving_worker(embedded) as (run, port):
        require_worker(run.health, run.worker)
        run.thread.start()
        wait_until(lambda: is_ready(port))
        yield run, port


def ask(port: int, path: str) -> tuple[int, dict[str, dict]]:
    """The status, and each check by its name."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            status, body = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        status, body = error.code, json.load(error)
    assert body["ok"] == (status == 200)
    return status, {check["name"]: check for check in body["checks"]}


def is_ready(port: int) -> bool:
    return ask(port, "/readyz")[0] == 200


def test_ready_after_the_join_and_not_before_nor_once_stopping(run: tuple[Run, int]) -> None:
    watched, port = run
    require_loading(watched.health)
    status, checks = ask(port, "/readyz")
    assert (status, checks["models"]["reason"]) == (503, "networks and calibrations are being loaded")
    require_worker(watched.health, watched.worker)
    status, checks = ask(port, "/readyz")
    assert (status, checks["group"]["reason"]) == (503, "has not joined yet")
    assert checks["models"]["ok"]
    assert ask(port, "/healthz")[0] == 200  # alive all the while
    watched.thread.start()
    wait_until(lambda: is_ready(port))
    wait_until(lambda: ask(port, "/readyz")[1]["group"]["reason"] == "joined, 1 partitions")
    status, checks = ask(port, "/readyz")
    assert {"poll", "model", "models", "calibrations", "group"} <= set(checks)
    assert all(checks[name]["age_s"] >= 0 for name in ("poll", "model"))
    watched.worker.stop()
    status, checks = ask(port, "/readyz")
    assert (status, checks["group"]["reason"]) == (503, "stopping")
    watched.thread.join(LIMIT_S)
    assert watched.raised is None
    assert ask(port, "/healthz")[0] == 200  # it ended as it should


def test_a_thread_that_dies_is_told(run: tuple[Run, int]) -> None:
    watched, port = run
    require_worker(watched.health, watched.worker)
    watched.thread.start()
    wait_until(lambda: is_ready(port))

    def failing(seq: int) -> None:
        raise MemoryError("at kafka://me:hunter2@host")

    watched.observer.before = failing
    watched.publish()
    wait_until(lambda: ask(port, "/healthz")[0] == 503)
    check = ask(port, "/healthz")[1]["model"]
    assert (check["ok"], check["reason"]) == (False, "MemoryError: at kafka://***@host")
    assert not is_ready(port)
    watched.thread.join(LIMIT_S)
    assert isinstance(watched.raised, MemoryError)


def test_a_worker_that_no_longer_polls_is_unhealthy_until_it_does(
    working: tuple[Run, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, port = working
    poll, go_on = watched.worker.consumer.poll, threading.Event()

    def stuck(timeout_s: float) -> list:
        go_on.wait(LIMIT_S)
        return poll(timeout_s)

    monkeypatch.setattr(watched.worker.consumer, "poll", stuck)
    wait_until(lambda: ask(port, "/healthz")[0] == 503)
    checks = ask(port, "/healthz")[1]
    assert checks["poll"]["age_s"] > SILENCE_S
    assert checks["model"]["ok"]  # the others are well
    go_on.set()
    wait_until(lambda: ask(port, "/healthz")[0] == 200)


def test_a_network_that_hangs_is_told_and_an_idle_judge_is_not(
    working: tuple[Run, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (watched, port), go_on = working, threading.Event()
    before = watched.worker.reports
    watched.publish()
    wait_until(lambda: watched.worker.reports == before + len(PICTURES))
    time.sleep(1.5 * SILENCE_S)
    status, checks = ask(port, "/healthz")
    assert (status, checks["judge"]["reason"]) == (200, "waits for work")
    monkeypatch.setattr(watched.observer, "before", lambda seq: go_on.wait(LIMIT_S))
    watched.publish()
    wait_until(lambda: ask(port, "/healthz")[0] == 503)
    checks = ask(port, "/healthz")[1]
    assert [name for name, check in checks.items() if not check["ok"]] == ["model"]
    go_on.set()
    wait_until(lambda: ask(port, "/healthz")[0] == 200)
    wait_until(lambda: watched.worker.reports == before + 2 * len(PICTURES))


def test_a_refused_calibration_is_told() -> None:
    class Bound:
        calibration_id = "given"

    class Learned:
        calibration = None

    class Judged:
        calibration = Bound()

    pipeline = Pipeline(None, None, None, None, {"north": Bound(), "gate": Bound()})
    assert bound_calibrations(pipeline) == (True, "2 bound")
    pipeline.states = {"north": Judged(), "gate": Judged()}
    assert bound_calibrations(pipeline).ok
    pipeline.states = {"north": Judged(), "gate": Learned()}
    condition = bound_calibrations(pipeline)
    assert not condition.ok
    assert condition.reason.endswith(": gate")
    pipeline.refused_calibrations = {"east": "no such file"}
    assert bound_calibrations(pipeline).reason.endswith(": east, gate")


def test_a_calibration_file_that_can_not_be_used_is_its_streams_trouble_alone(tmp_path: Path) -> None:
    judge = build_judge(Configuration(), build_observer(Configuration()))
    made = load(SHIPPED_CALIBRATION.read_bytes(), Calibration)
    good = replace(made, origin=judge.origin("good", (960, 540)))
    files = {
        "good": dump(good),
        "foreign": dump(good),
        "text": b"not a calibration",
        "empty": b"",
        "cut": dump(good)[:-9],
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    streams = {name: StreamSettings(str(tmp_path / name)) for name in (*files, "folder", "missing")}
    usable, refused = usable_calibrations(Configuration(streams=streams), judge)
    assert list(usable) == ["good"]
    assert list(refused) == ["foreign", "text", "empty", "cut", "folder", "missing"]
    assert "gradwatch calibrate RECORDING --source missing" in refused["missing"]


# -- Prometheus --------------------------------------------------------------------------------------------


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here (Debian: apt-get install prometheus)")
    return found


@contextmanager
def prometheus(target: int, folder: Path) -> Iterator[int]:
    """A server that scrapes `target` four times a second; yields its own port."""
    program, port = tool("prometheus"), free_ports(1)[0]
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 250ms, scrape_timeout: 200ms}\n"
        f"scrape_configs: [{{job_name: gradwatch, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
    )
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *options], stdout=log, stderr=log)
    try:
        wait_until(lambda: query(port, 'up{job="gradwatch"} == 1') != [])
        yield port
    finally:
        process.terminate()
        process.wait(LIMIT_S)


def query(port: int, expression: str) -> list[dict]:
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]
    except (urllib.error.URLError, ConnectionError):
        return []  # it does not listen yet


def series_names() -> list[str]:
    """What Prometheus should know: each of our metrics by the name of a sample."""
    suffixes = {"counter": "_total", "info": "_info", "histogram": "_bucket"}
    ours = [metric for metric in vars(telemetry).values() if isinstance(metric, MetricWrapperBase)]
    for metric in ours:
        if metric._labelnames:
            metric.labels(*["seen"] * len(metric._labelnames))  # a child, so that there is a value
    return [metric._name + suffixes.get(metric._type, "") for metric in ours]


def test_promtool_finds_nothing_to_say(working: tuple[Run, int]) -> None:
    promtool, (_, port) = tool("promtool"), working
    series_names()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        exposed = answer.read()
    done = subprocess.run([promtool, "check", "metrics"], input=exposed, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_prometheus_has_an_answer_for_every_metric_of_a_worker(working: tuple[Run, int], tmp_path: Path) -> None:
    watched, port = working
    stream = f"camera-{watched.topics.prefix.rstrip('.')}"
    with prometheus(port, tmp_path) as server:
        watched.publish(stream)
        names = series_names()
        judged = f'sum(gradwatch_frames_total{{stream_id="{stream}",outcome="judged"}})'
        wait_until(lambda: [float(r["value"][1]) for r in query(server, judged)] == [len(PICTURES)])
        wait_until(lambda: all(query(server, name) for name in names))
        assert [name for name in names if not query(server, name)] == []
        published = f'gradwatch_source_frames_total{{stream_id="{stream}",outcome="published"}}'
        assert float(query(server, published)[0]["value"][1]) == len(PICTURES)
        for stage in ("decode", "observe", "judge"):
            p99 = f'histogram_quantile(0.99, gradwatch_stage_duration_seconds_bucket{{stage="{stage}"}})'
            assert float(query(server, p99)[0]["value"][1]) > 0
        age = f'histogram_quantile(0.5, gradwatch_frame_age_seconds_bucket{{stream_id="{stream}"}})'
        assert float(query(server, age)[0]["value"][1]) > 0
        wait_until(lambda: [r["value"][1] for r in query(server, "gradwatch_ready")] == ["1"])
    assert REGISTRY.get_sample_value("gradwatch_healthy") == 1


def test_a_worker_whose_output_is_blocked_is_not_ready_and_names_it() -> None:
    said = "topic gradwatch.alerts has taken no record for 11 s"
    assert outputs(SimpleNamespace(blocked=lambda: said)) == Condition(False, said)
    assert outputs(SimpleNamespace(blocked=lambda: "")).ok
