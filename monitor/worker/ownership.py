"""Ownership of partitions: loads the stored states of a partition's streams before its frames are judged, stores them
while it is owned, and gives both up when the partition is revoked.

    main     `load_states` for partitions that were assigned, then their frames are released; `note_arrival`
    model    `is_leaving`: frames of a partition under revocation that are not begun are left to its next owner
    judge    `owns`, `finish`, `note_done`; `tick` alone changes the pipeline's states, stores and forgets them
    client   `on_revoking`, `is_settled`, `on_revoked`, while the main thread waits in `poll`

Invariants, whatever the threads do:

1. Frames of a partition are released only after its states are loaded, and states are loaded only when no record of
   an earlier ownership is in flight (`note_done` was called for all that arrived). So no frame of a partition that
   was lost and regained is judged twice, or into a state that is not its own.
2. After `on_revoked` no state of the partition is sent: it closes the partition under the lock under which states are
   sent. What was sent before is a valid state, and the topic's versions keep it from hiding a newer one.
3. The judge asks `owns` before it judges. If the partition is revoked in that very moment, the frame's report and
   alerts equal those of the next owner, ids included, and its state is forgotten.
4. The state of a stream is dropped with the last partition in which its frames came, before anything can be loaded
   for it again (`_tasks` is one queue).

A partition that is lost (revoked without notice) may already have a new owner. Then both send its states until this
client notices; both states follow from the same frames.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable
from typing import NamedTuple

import structlog

from gradwatch.streams.observability.metrics import FRAMES_SKIPPED, STATES_STORED
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.offsets import Awaited
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.transport.state import StateReader, StateTopic

from .checkpoints import Cover, StreamLedger
from .pipeline import Pipeline
from .stored_state import Found, Part, found_in

log = structlog.get_logger()

Key = tuple[int, str]  # partition, stream_id

CHECK_EVERY_S = 0.02


class Stateless:
    """Ownership without stored states, for benchmarks and tests: owns every partition, loads and stores nothing."""

    def owns(self, *_: object) -> bool:
        """Returns True: every partition is owned, and nothing is left to store."""
        return True

    def is_leaving(self, *_: object) -> bool:
        """Returns False: no partition is revoked or waits for its states, and no earlier worker is known."""
        return False

    def finish(self, *_: object) -> list[Cover]:
        """Returns []: offsets wait for their deliveries alone."""
        return []

    def tick(self, *_: object) -> None:
        """Does nothing."""

    store_now = owns
    load_states = already_judged = is_leaving
    note_arrival = note_done = leave_to_next_owner = close = tick


class _InFlight(NamedTuple):
    key: Key
    published_ns: int


class Ownership:
    """The partitions of one worker and the states of their streams, each stored at most every `interval_s`."""

    def __init__(self, pipeline: Pipeline, source: StateReader, store: StateTopic, interval_s: float = 1.0) -> None:
        self._pipeline, self._source, self._store, self._interval_s = pipeline, source, store, interval_s
        self._lock = threading.RLock()
        self._ledgers: dict[Key, StreamLedger] = {}
        self._records: dict[tuple[int, int], _InFlight] = {}  # by partition and offset
        self._in_flight: Counter[int] = Counter()  # records by partition
        self._owned: set[int] = set()
        self._revoking: set[int] = set()
        self._loading: dict[int, int] = {}
        self._tasks: deque[Found | Key] = deque()  # for the judge: states to take up, streams to forget
        self._due_s: dict[Key, float] = {}
        self._check_s = 0.0
        self._urgent = False

    # -- main thread -------------------------------------------------------------------------------------

    def load_states(self, consumer: FrameConsumer, timeout_s: float) -> bool:
        """Continues to load the states of assigned partitions; returns whether some still wait for theirs.

        Raises what the source raises.
        """
        held = dict(consumer.held)
        with self._lock:
            ready = {p: number for p, number in held.items() if not self._in_flight[p]}
        if not self._loading:
            if not ready:
                return bool(held)
            self._source.start(ready)
            self._loading = ready
        values = self._source.step(timeout_s)
        if values is None:
            return True
        # A partition that was revoked and assigned again meanwhile has another number, and perhaps another state.
        loaded = {p for p, number in self._loading.items() if consumer.held.get(p) == number}
        self._loading = {}
        for partition in loaded:
            self._own(partition, found_in(values[partition]))
        self._pipeline.adopts_from |= consumer.release(loaded)
        return bool(consumer.held)

    def already_judged(self, partition: int, stream_id: str, offset: int, published_ns: int) -> bool:
        """Whether the loaded state covers a frame that arrived; such a frame is counted as skipped."""
        with self._lock:
            ledger = self._ledgers.get((partition, stream_id))
            covered = ledger is not None and ledger.already_judged(offset, published_ns)
        if covered:
            FRAMES_SKIPPED.labels(stream_id, "already_judged").inc()
        return covered

    def note_arrival(self, partition: int, stream_id: str, offset: int, published_ns: int) -> None:
        """Records that a record is in flight until `note_done`."""
        key = (partition, stream_id)
        with self._lock:
            self._in_flight[partition] += 1
            if partition not in self._owned:
                return
            same_topic = self._ledgers.setdefault(key, StreamLedger()).arrive(offset)
            self._records[partition, offset] = _InFlight(key, published_ns)
        if not same_topic:
            log.warning("the frames topic was recreated, its offsets begin again", stream=stream_id, offset=offset)

    def close(self) -> None:
        """Stops loading states."""
        self._source.close()

    # -- model thread --------------------------------------------------------------------------------------

    def is_leaving(self, partition: int) -> bool:
        """Whether no further frame of the partition may be begun."""
        return partition in self._revoking or partition not in self._owned

    def leave_to_next_owner(self, partition: int, stream_id: str) -> None:
        """Counts a frame that is not begun because its partition is being revoked: the next owner judges it."""
        FRAMES_SKIPPED.labels(stream_id, "partition_moved").inc()
        self.note_done(partition)

    # -- judge thread: `tick` before each record ---------------------------------------------------------------

    def owns(self, partition: int) -> bool:
        """Whether frames of the partition are judged here."""
        return partition in self._owned

    def finish(self, partition: int, offset: int, judged: bool, deliveries: Iterable[Awaited]) -> list[Cover]:
        """Records that a record is judged, dropped or rejected; returns what its offset awaits beside `deliveries`."""
        with self._lock:
            record = self._records.pop((partition, offset), None)
            ledger = self._ledgers.get(record.key) if record is not None else None
            if record is None or ledger is None:
                return []
            return ledger.finish(offset, judged, record.published_ns, deliveries)

    def note_done(self, partition: int) -> None:
        """Records that a record that arrived is no longer in flight."""
        with self._lock:
            self._in_flight[partition] -= 1

    def tick(self, now_s: float) -> None:
        """Takes up, forgets and stores states as is due; must be called often."""
        while self._tasks:
            task = self._tasks.popleft()
            if isinstance(task, Found):
                self._pipeline.take_up(task)
            elif not self._has_other_partition(task):
                self._pipeline.forget(task[1])
        if now_s >= self._check_s or self._urgent or self._revoking:
            self._check_s = now_s + CHECK_EVERY_S
            with self._lock:
                for key, ledger in self._ledgers.items():
                    if ledger.behind:
                        self._store_state(key, ledger, now_s)

    def store_now(self) -> bool:
        """Stores states without waiting for `interval_s` from now on; returns whether all are stored."""
        self._urgent = True
        with self._lock:
            return not any(ledger.behind and ledger.failure is None for ledger in self._ledgers.values())

    # -- client's thread -----------------------------------------------------------------------------------

    def on_revoking(self, partitions: Collection[int]) -> None:
        """Partitions are about to be revoked: begun frames are finished and stored, no further ones are begun."""
        self._revoking |= set(partitions) & self._owned

    def is_settled(self, partitions: Collection[int]) -> bool:
        """Whether all begun frames of the partitions are finished and stored."""
        with self._lock:
            behind = any(ledger.behind for key, ledger in self._ledgers.items() if key[0] in partitions)
            return not behind and not any(self._in_flight[p] for p in partitions)

    def on_revoked(self, partitions: Collection[int]) -> None:
        """Partitions are revoked or lost: from now on nothing of them is judged or sent."""
        with self._lock:
            self._owned -= set(partitions)
            self._revoking -= set(partitions)
            for key in [key for key in self._ledgers if key[0] in partitions]:
                del self._ledgers[key]
                self._due_s.pop(key, None)
                self._tasks.append(key)
            for place in [place for place in self._records if place[0] in partitions]:
                del self._records[place]

    # ------------------------------------------------------------------------------------------------------

    def _own(self, partition: int, found: list[Found]) -> None:
        with self._lock:
            for stream in found:
                self._ledgers[partition, stream.stream_id] = StreamLedger(stream)
                self._tasks.append(stream)
            self._owned.add(partition)

    def _has_other_partition(self, left: Key) -> bool:
        with self._lock:
            return any(key[1] == left[1] and key[0] != left[0] for key in self._ledgers)

    def _store_state(self, key: Key, ledger: StreamLedger, now_s: float) -> None:
        partition, stream_id = key
        state = self._pipeline.states.get(stream_id)
        due = self._urgent or partition in self._revoking or now_s >= self._due_s.get(key, 0.0)
        if due and state is not None and ledger.begin(state, self._pipeline.bind):
            self._due_s[key] = now_s + self._interval_s
        before = ledger.stored

        def write(part: Part) -> Delivery | None:
            return self._store.try_write(partition, part.key, part.value, part.version)

        given = self._pipeline.calibrations.get(stream_id)
        ledger.advance(write, given.calibration_id if given is not None else "")
        if ledger.stored > before:
            STATES_STORED.labels(stream_id).inc()
