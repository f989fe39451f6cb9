"""How far a verb has come: a line that changes on a terminal, now and then a log line elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import structlog
from rich.console import Console
from rich.markup import escape

from gradwatch.streams.observability.metrics import SOURCE_FRAMES

REDRAW_S = 0.5
LOG_S = 30.0

Item = TypeVar("Item")
log = structlog.get_logger(__name__)


@contextmanager
def progress(describe: Callable[[], str], log_s: float = LOG_S) -> Iterator[None]:
    """Shows what `describe` says while the block runs; it is called on a thread of its own."""
    ended, console = threading.Event(), Console(stderr=True)

    def redraw() -> None:
        with console.status("") as status:
            while not ended.wait(REDRAW_S):
                status.update(escape(describe()))

    def write() -> None:
        while not ended.wait(log_s):
            log.info("progress", so_far=describe())

    thread = threading.Thread(target=redraw if console.is_terminal else write, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def counted(items: Iterable[Item], what: str, log_s: float = LOG_S) -> Iterator[Iterator[Item]]:
    """`items`, while the number of those that were taken is shown as `what`: …."""
    taken = 0

    def take() -> Iterator[Item]:
        nonlocal taken
        for item in items:
            taken += 1
            yield item

    with progress(lambda: f"{what}: {taken} frames", log_s):
        yield take()


def frames_of_sources(stream_ids: Sequence[str]) -> str:
    """The frames that these streams have published and dropped so far, from the metrics of this process."""
    counts = dict.fromkeys(stream_ids, (0, 0))
    for metric in SOURCE_FRAMES.collect():
        for sample in metric.samples:
            stream_id, is_published = sample.labels["stream_id"], sample.labels["outcome"] == "published"
            if stream_id in counts and sample.name.endswith("_total"):
                published, dropped = counts[stream_id]
                value = int(sample.value)
                counts[stream_id] = (published + value, dropped) if is_published else (published, dropped + value)
    return "; ".join(f"{name}: {sent} published, {dropped} dropped" for name, (sent, dropped) in counts.items())
