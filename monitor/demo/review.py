"""Runs the evidence service and the review page beside the demo, with the ground truth of its drives."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import webbrowser
from dataclasses import dataclass

from gradwatch.streams.world.drive import Drive

from ..children import Child, ChildError
from .pictures import STREAMS, DemoSettings

READY_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class DemoReview:
    """The review page at `link`, which lets in whoever has it, and the processes behind it."""

    link: str
    children: tuple[Child, ...]

    def open(self) -> None:
        """Opens the page in the browser of a desktop; without one there is only the link."""
        if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(self.link)

    def wait(self) -> None:
        """Waits until somebody presses Ctrl-C. Raises ChildError if a process ends before."""
        try:
            while all(child.running for child in self.children):
                time.sleep(0.2)
        except KeyboardInterrupt:
            return
        ended = next(child for child in self.children if not child.running)
        ended.wait()
        raise ChildError(f"gradwatch {ended.verb} ended by itself; its log is {ended.log}")


def start_review(settings: DemoSettings, config: str, started: list[Child]) -> DemoReview:
    """Serves the page by processes that it adds to `started`; `config` names the configuration file.

    Raises ChildError if the page does not start.
    """
    folder = settings.folder
    # The broker is new: what an earlier run left is about other records at the same offsets.
    for old in folder.glob("review.db*"):
        old.unlink()
    shutil.rmtree(folder / "evidence", ignore_errors=True)
    _write_truth(settings)
    database, evidence = f"--database=sqlite:///{folder / 'review.db'}", folder / "evidence"
    link = folder / "review.link"
    link.unlink(missing_ok=True)
    options = ["--port=0", database, f"--evidence={evidence}", f"--truth={folder / 'truth'}", f"--link-file={link}"]
    page = Child("review", config, *options, log=folder / "review.log")
    started.append(page)
    service = Child("evidence", config, f"--folder={evidence}", database, log=folder / "evidence.log")
    started.append(service)
    page.wait_until(link.exists, READY_TIMEOUT_S)
    return DemoReview(link.read_text().strip(), (page, service))


def _write_truth(settings: DemoSettings) -> None:
    """Ground truth that the page shows beside the alerts; neither worker nor sources read it."""
    folder = settings.folder / "truth"
    folder.mkdir(exist_ok=True)
    drive = Drive("town", settings.seed, settings.frames, settings.rate_hz)
    town = {
        str(seq): [
            {"xyxy": [float(edge) for edge in box.xyxy], "label": box.label, "kind": box.kind}
            for box in drive.truth(seq)
        ]
        for seq in range(settings.frames)
    }
    for stream in STREAMS:
        tags = {"challenge": settings.challenge, "level": settings.level}
        objects = town if stream == "town" else {}
        truth = {"tags": tags, "onset_seq": settings.onset(stream), "objects": objects}
        (folder / f"{stream}.json").write_text(json.dumps(truth))
