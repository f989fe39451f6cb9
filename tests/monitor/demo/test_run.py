"""The demo as a user runs it: processes, broker, challenge, alerts, videos."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from ..commands.verbs import running

STREAMS = ("town", "motorway")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict], str]:
    folder = tmp_path_factory.mktemp("demo")
    figures = folder / "figures.json"
    options = ["--headless", "--seconds=30", "--challenge=haze", "--level=5", f"--json={figures}", f"--folder={folder}"]
    command = [sys.executable, "-m", "gradwatch.monitor.commands", "demo", *options]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(figures.read_text())["streams"], done.stdout


@pytest.mark.parametrize("stream", STREAMS)
def test_every_frame_has_a_report(run, stream):
    figures = run[0][stream]
    outcomes = figures["outcomes"]
    assert figures["frames_in"] == figures["reports"] == 150
    assert outcomes["judged"] + sum(outcomes["dropped"].values()) + outcomes["rejected"] == figures["reports"]
    assert outcomes["judged"] >= 0.9 * figures["reports"]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_first_alert_comes_after_the_onset_and_soon(run, stream):
    figures = run[0][stream]
    assert figures["false_alerts"] == 0
    assert 0 <= figures["delay_frames"] <= 20
    assert figures["first_alert_seq"] == figures["onset_seq"] + figures["delay_frames"]


@pytest.mark.parametrize("stream", STREAMS)
def test_video_and_still_can_be_decoded(run, stream):
    figures = run[0][stream]
    with av.open(figures["video"]) as video:
        assert video.streams.video[0].codec_context.name.startswith(("vp9", "libvpx-vp9"))
        assert sum(1 for _ in video.decode(video=0)) == 150
    assert Path(figures["still"]).stat().st_size > 10_000


def test_the_terminal_shows_states_alerts_and_the_summary(run):
    said = run[1]
    for stream in STREAMS:
        assert f"{stream}: watching" in said
    assert "ALERT" in said
    assert "what happened" in said


@pytest.fixture(params=[signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    """A signal that child processes do not ignore, even if the tests run under nohup."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_its_child_processes_end_with_it(tmp_path, number):
    pytest.importorskip("fastapi", reason="needs the extra review")
    with running("demo", "--headless", "--review", f"--folder={tmp_path}") as demo:
        assert comes_true(lambda: {"review", "evidence"} <= verbs_in(tmp_path)), verbs_in(tmp_path)
        demo.send_signal(number)
        assert demo.wait(60) == 128 + number
        assert comes_true(lambda: not verbs_in(tmp_path)), verbs_in(tmp_path)


def comes_true(condition: Callable[[], bool], timeout_s: float = 90.0) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return condition()


def verbs_in(folder: Path) -> set[str]:
    """The verbs of gradwatch, except demo, that run with `folder` in their arguments."""
    listed = subprocess.run(["ps", "-axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    ours = [line.partition("gradwatch.monitor.commands ")[2] for line in listed.splitlines() if str(folder) in line]
    return {words.split()[0] for words in ours if words} - {"demo"}
