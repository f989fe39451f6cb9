"""Opens a camera repeatedly: `connect_often.py URL COUNT` prints its resident memory every 10 connections."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from gradwatch.streams.cameras.address import camera_address
from gradwatch.streams.cameras.backoff import Backoff
from gradwatch.streams.cameras.camera import LiveCamera
from gradwatch.streams.observability.logs import configure_logging
from gradwatch.streams.wire.messages import Disturbance, HealthRecord


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Runs until the camera has been lost `COUNT` times."""
    url, count = sys.argv[1], int(sys.argv[2])
    lost = 0

    def report(record: HealthRecord) -> None:
        nonlocal lost
        lost += record.disturbance is Disturbance.RECONNECTED
        if record.disturbance is Disturbance.RECONNECTED and lost % 10 == 0:
            print(lost, resident_bytes(), frames, flush=True)

    configure_logging(level=50)
    frames = 0
    backoff = Backoff(random.Random(0), first_s=0.0, longest_s=0.0)
    for frame in LiveCamera(camera_address(url), "often", wait=True, report=report, backoff=backoff).live():
        frames += frame is not None
        if lost >= count:
            break


if __name__ == "__main__":
    main()
