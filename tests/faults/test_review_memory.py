"""The memory of the review server follows the cameras that there are, not those that there have been."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra 'review'")

pytestmark = pytest.mark.faults

ALLOWED_MB = 15
# In a process of its own: the resident memory of this one depends on the tests before.
PROGRAM = """
import gc, os
from contextlib import nullcontext
from gradwatch.monitor.review.feed.live_state import LiveState
from gradwatch.monitor.worker.startup import limit_arenas
from gradwatch.streams.wire.messages import Disturbance, DisturbanceState, HealthRecord
from tests.monitor.review.builders import RAISED_NS, SECOND_NS, make_frame, make_report
from msgspec.structs import replace

def rss_mb():
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

limit_arenas()
now_s = [0.0]
live = LiveState(200, 256 * 2**20, forget_after_s=60, clock=lambda: now_s[0])
picture = make_frame(0)

def come_and_go(first, last):
    for number in range(first, last):
        stream_id = f"camera-{number}"
        now_s[0] += 1.0
        for seq in range(20):
            live.put_report(make_report(seq, stream_id))
        identity = replace(picture.stamp.identity, stream_id=stream_id)
        content = bytes(bytearray(picture.content))
        live.put_frame(replace(picture, content=content, stamp=replace(picture.stamp, identity=identity)))
        live.thumbnail(stream_id, nullcontext())
        live.put_overlay(stream_id, b"x" * 20_000, RAISED_NS)
        gap = HealthRecord(stream_id, "run", Disturbance.GAP, DisturbanceState.MOMENT, RAISED_NS, RAISED_NS)
        live.put_health(gap, RAISED_NS)
        live.forget_silent()
    most = len(live.cameras())
    now_s[0] += 100.0
    live.forget_silent()
    return most

come_and_go(0, 100)  # what libraries hold from their first use on
before = rss_mb()
most = come_and_go(100, 2_100)
print(most, len(live.cameras()), live.nbytes, round(rss_mb() - before, 1))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_returns_after_two_thousand_cameras() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    most, left, held_bytes, grown_mb = map(float, run.stdout.split()[-4:])
    assert (most, left, held_bytes) == (61, 0, 0)
    assert grown_mb <= ALLOWED_MB
