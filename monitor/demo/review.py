"""The review page beside the demo: the evidence service and the page as processes, and what is known of the drives."""

from __future__ import annotations

import json
import re
import shutil
import time
from types import TracebackType
from typing import Any

from gradwatch.streams.world.drive import Drive

from ..children import Child, ChildError
from .pictures import STREAMS, DemoSettings

READY_TIMEOUT_S = 60.0
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/")


class DemoReview:
    """`with DemoReview(settings, config) as desk:` serves the page at `desk.address` until the block ends.

    config: the option that names the configuration. Raises ChildError where the page does not come up.
    """

    def __init__(self, settings: DemoSettings, config: str) -> None:
        self._settings, self._config = settings, config
        self._children: list[Child] = []
        self.address = ""

    def __enter__(self) -> DemoReview:
        folder = self._settings.folder
        # The broker of this run is empty: what an earlier run left is about other records of the same places.
        for old in folder.glob("review.db*"):
            old.unlink()
        shutil.rmtree(folder / "evidence", ignore_errors=True)
        _write_truth(self._settings)
        database, evidence = f"--database=sqlite:///{folder / 'review.db'}", folder / "evidence"
        options = ["--port=0", database, f"--evidence={evidence}", f"--truth={folder / 'truth'}"]
        page = Child("review", self._config, *options, log=folder / "review.log")
        keeping = Child("evidence", self._config, f"--folder={evidence}", database, log=folder / "evidence.log")
        self._children = [page, keeping]
        try:
            self.address = _address(page)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def serve(self) -> None:
        """Waits until somebody presses Ctrl-C. Raises ChildError where a process ends before."""
        try:
            while all(child.running for child in self._children):
                time.sleep(0.2)
        except KeyboardInterrupt:
            return
        for child in self._children:
            if not child.running:
                child.wait()
                raise ChildError(f"gradwatch {child.verb} ended by itself; its log is {child.log}")

    def _stop(self) -> None:
        for child in self._children:
            child.stop()


def _address(page: Child) -> str:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while (found := ADDRESS.search(page.log.read_text(errors="replace"))) is None:
        if not page.running:
            page.wait()
        if time.monotonic() > deadline_s:
            raise ChildError(f"gradwatch review was not ready within {READY_TIMEOUT_S:.0f} s; its log is {page.log}")
        time.sleep(0.05)
    return found.group()


def _write_truth(settings: DemoSettings) -> None:
    """What the page may show beside the alerts; no part of the road reads it."""
    folder = settings.folder / "truth"
    folder.mkdir(exist_ok=True)
    drive = Drive("town", settings.seed, settings.frames, settings.rate_hz)
    objects: dict[str, dict[str, Any]] = {
        "town": {
            str(seq): [
                {"xyxy": [float(edge) for edge in box.xyxy], "label": box.label, "kind": box.kind}
                for box in drive.truth(seq)
            ]
            for seq in range(settings.frames)
        }
    }
    for stream in STREAMS:
        tags = {"challenge": settings.challenge, "level": settings.level}
        known = {"tags": tags, "onset_seq": settings.onset(stream), "objects": objects.get(stream, {})}
        (folder / f"{stream}.json").write_text(json.dumps(known))
