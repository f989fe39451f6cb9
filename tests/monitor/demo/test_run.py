"""The demo as a user runs it: processes, broker, challenge, alerts, videos."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from ...verbs import LIMIT_S, running, said_by
from ...waiting import wait_until

STREAMS = ("town", "motorway")
SECONDS, RATE_HZ = 20, 5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict], str]:
    folder = tmp_path_factory.mktemp("demo")
    figures = folder / "figures.json"
    played = [f"--seconds={SECONDS}", f"--rate={RATE_HZ}", "--challenge=haze", "--level=5"]
    code, said = said_by("demo", "--headless", *played, f"--json={figures}", f"--folder={folder}")
    assert code == 0, said
    return json.loads(figures.read_text())["streams"], said


def require_watched(figures: dict) -> None:
    """Skips where the machine was too busy to watch live: most frames were dropped, the hazy ones may be among them."""
    if figures["outcomes"]["judged"] < 0.5 * figures["reports"]:
        pytest.skip(f"this machine is too busy to watch live: of {figures['reports']} frames {figures['outcomes']}")


@pytest.mark.parametrize("stream", STREAMS)
def test_every_frame_has_a_report(run, stream):
    figures = run[0][stream]
    outcomes = figures["outcomes"]
    assert figures["frames_in"] == figures["reports"] == SECONDS * RATE_HZ
    assert outcomes["judged"] + sum(outcomes["dropped"].values()) + outcomes["rejected"] == figures["reports"]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_first_alert_comes_after_the_onset(run, stream):
    figures = run[0][stream]
    assert figures["false_alerts"] == 0
    require_watched(figures)
    assert figures["first_alert_seq"] >= figures["onset_seq"]
    assert figures["first_alert_seq"] == figures["onset_seq"] + figures["delay_frames"]


@pytest.mark.parametrize("stream", STREAMS)
def test_video_and_still_can_be_decoded(run, stream):
    figures = run[0][stream]
    with av.open(figures["video"]) as video:
        assert video.streams.video[0].codec_context.name.startswith(("vp9", "libvpx-vp9"))
        assert sum(1 for _ in video.decode(video=0)) == SECONDS * RATE_HZ
    require_watched(figures)
    assert Path(figures["still"]).stat().st_size > 10_000


def test_the_terminal_shows_states_alerts_and_the_summary(run):
    said = run[1]
    for stream in STREAMS:
        assert f"{stream}: watching" in said
    assert "what happened" in said
    for figures in run[0].values():
        require_watched(figures)
    assert "ALERT" in said
    assert "closed" in said  # also what was open when the sources ended


@pytest.fixture(params=[signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    """A signal that child processes do not ignore, even if the tests run under nohup."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_its_child_processes_end_with_it(tmp_path, number):
    pytest.importorskip("fastapi", reason="needs the extra review")
    with running("demo", "--headless", "--review", "--seconds=10", f"--folder={tmp_path}") as demo:
        wait_until(
            lambda: {"review", "evidence"} <= verbs_in(tmp_path),
            LIMIT_S,
            lambda: f"review and evidence, not {verbs_in(tmp_path)}",
        )
        code, said = said_by("demo", "--headless", f"--folder={tmp_path}")
        assert (code, said.count("another demo runs in")) == (1, 1)
        demo.send_signal(number)
        assert demo.wait(LIMIT_S) == 128 + number
        wait_until(lambda: not verbs_in(tmp_path), what=lambda: f"the end of {verbs_in(tmp_path)}")


def verbs_in(folder: Path) -> set[str]:
    """The verbs of gradwatch, except demo, that run with `folder` in their arguments."""
    listed = subprocess.run(["ps", "-axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    ours = [line.partition("gradwatch.monitor.commands ")[2] for line in listed.splitlines() if str(folder) in line]
    return {words.split()[0] for words in ours if words} - {"demo"}
