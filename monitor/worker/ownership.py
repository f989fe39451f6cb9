"""Whose a partition is: from taking up the states of its streams to giving them away.

    main     `take_up` reads the state of partitions that came, then lets their frames come; `arrive`, `already_judged`
    model    `leaving`: frames not yet begun of a partition that is going away are left to its next owner
    judge    `owns`, `finish`, `passed`; `tick` alone changes the pipeline's states, stores them and forgets them
    client   `on_revoking`, `is_settled`, `on_revoked`, while the main thread waits in `poll`

What holds, whatever the threads do:

1. A partition's frames come only once its states are taken up, and these are read only once nothing that came
   before is under way (`passed` was called for all that arrived). So no frame of a partition that was lost and
   regained is judged twice, or into a state that is not its own.
2. After `on_revoked` no state of the partition is sent: it closes the partition under the lock under which states are
   sent. What was sent before is a state that held, and the topic's versions keep it from hiding a newer one.
3. The judge asks `owns` before it judges. If the partition goes away in that very moment, the frame's report and
   alerts are those that the next owner makes from equal state, with equal ids; its state is forgotten.
4. What the judge remembers of a stream is dropped with the last partition in which its frames came, before
   anything can be taken up for it again (`_notes` is one queue).

A partition that is lost (the group gave it away unheard) may have a new owner already. Its states are then sent
by both for at most the time that the client needs to notice; both follow from the same frames.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

import structlog

from gradwatch.streams.observability.metrics import FRAMES_SKIPPED, STATES_STORED
from gradwatch.streams.transport.offsets import Awaited
from gradwatch.streams.transport.producer import Delivery

from .checkpoints import Cover, StreamLedger
from .pipeline import Pipeline
from .stored_state import Found, Part, found_in

log = structlog.get_logger()

Key = tuple[int, str]  # partition, stream_id

LOOK_EVERY_S = 0.02


class StateSource(Protocol):
    """Where states are read; see `StateReader`."""

    def start(self, partitions: Collection[int]) -> None:
        """Begins to read these partitions."""

    def step(self, timeout_s: float) -> Mapping[int, Mapping[str, bytes]] | None:
        """Values by key of each partition once all are read, else None."""

    def close(self) -> None:
        """Stops reading."""


class StateStore(Protocol):
    """Where states are written; see `StateTopic`."""

    def try_write(self, partition: int, key: str, value: bytes | None, version: int = 0) -> Delivery | None:
        """Sends a record, or returns None while there is no room."""


class Holder(Protocol):
    """The consumer as `take_up` sees it: `held` maps each partition whose frames wait to the number of its coming."""

    @property
    def held(self) -> Mapping[int, int]:
        """Partitions that came and were not released."""

    def release(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Lets their frames come; gives the offset that the next frame of each will get, as far as it is known."""


class NoCustody:
    """Keeps nothing: every partition is ours, its frames come at once, and offsets wait for reports alone."""

    def take_up(self, _holder: Holder, _timeout_s: float) -> bool:
        """Nothing waits."""
        return False

    def already_judged(self, _partition: int, _stream_id: str, _offset: int, _published_ns: int) -> bool:
        """Nothing is known of earlier workers."""
        return False

    def arrive(self, partition: int, stream_id: str, offset: int, published_ns: int) -> None:
        """Not noted."""

    def leaving(self, _partition: int) -> bool:
        """Never."""
        return False

    def leave_out(self, partition: int, stream_id: str) -> None:
        """Never called."""

    def owns(self, _partition: int) -> bool:
        """Always."""
        return True

    def finish(self, _partition: int, _offset: int, _judged: bool, _deliveries: Iterable[Awaited]) -> list[Cover]:
        """There is nothing to wait for."""
        return []

    def passed(self, partition: int) -> None:
        """Not noted."""

    def tick(self, now_s: float) -> None:
        """Nothing is due."""

    def hurry(self) -> bool:
        """All is stored that ever will be."""
        return True

    def close(self) -> None:
        """Nothing is open."""


class _Arrived(NamedTuple):
    key: Key
    published_ns: int


class Custody:
    """The partitions of one worker and the states of their streams, stored at most every `interval_s`."""

    def __init__(self, pipeline: Pipeline, source: StateSource, store: StateStore, interval_s: float = 1.0) -> None:
        self._pipeline, self._source, self._store, self._interval_s = pipeline, source, store, interval_s
        self._lock = threading.RLock()
        self._ledgers: dict[Key, StreamLedger] = {}
        self._arrived: dict[tuple[int, int], _Arrived] = {}
        self._under_way: Counter[int] = Counter()
        self._open: set[int] = set()
        self._leaving: set[int] = set()
        self._reading: dict[int, int] = {}
        self._notes: deque[Found | Key] = deque()  # to the judge: what to take up, what to forget
        self._due_s: dict[Key, float] = {}
        self._look_s = 0.0
        self._hurrying = False

    # -- main thread -------------------------------------------------------------------------------------

    def take_up(self, holder: Holder, timeout_s: float) -> bool:
        """Goes on reading the states of partitions that came; returns whether some still wait.

        Raises what the source raises.
        """
        held = dict(holder.held)
        with self._lock:
            ready = {p: number for p, number in held.items() if not self._under_way[p]}
        if not self._reading:
            if not ready:
                return bool(held)
            self._source.start(ready)
            self._reading = ready
        values = self._source.step(timeout_s)
        if values is None:
            return True
        # A partition that went and came again meanwhile has another number, and perhaps another state.
        mine = {p for p, number in self._reading.items() if holder.held.get(p) == number}
        self._reading = {}
        for partition in mine:
            self._open_with(partition, found_in(values[partition]))
        self._pipeline.adopts_from |= holder.release(mine)
        return bool(holder.held)

    def already_judged(self, partition: int, stream_id: str, offset: int, published_ns: int) -> bool:
        """Whether a frame that came is covered by the state that was taken up; counts it."""
        with self._lock:
            ledger = self._ledgers.get((partition, stream_id))
            known = ledger is not None and ledger.already_judged(offset, published_ns)
        if known:
            FRAMES_SKIPPED.labels(stream_id, "already_judged").inc()
        return known

    def arrive(self, partition: int, stream_id: str, offset: int, published_ns: int) -> None:
        """Notes a record that the judge will get to see, or that `passed` will be called for."""
        key = (partition, stream_id)
        with self._lock:
            self._under_way[partition] += 1
            if partition not in self._open:
                return
            same = self._ledgers.setdefault(key, StreamLedger()).arrive(offset)
            self._arrived[partition, offset] = _Arrived(key, published_ns)
        if not same:
            log.warning("the frames topic was made anew, its offsets begin again", stream=stream_id, offset=offset)

    def close(self) -> None:
        """Stops reading states."""
        self._source.close()

    # -- model thread --------------------------------------------------------------------------------------

    def leaving(self, partition: int) -> bool:
        """Whether a frame of it should not be begun any more."""
        return partition in self._leaving or partition not in self._open

    def leave_out(self, partition: int, stream_id: str) -> None:
        """Says that a frame was not begun because its partition is going away: its next owner judges it."""
        FRAMES_SKIPPED.labels(stream_id, "partition_moved").inc()
        self.passed(partition)

    # -- judge thread: `tick` before each record ---------------------------------------------------------------

    def owns(self, partition: int) -> bool:
        """Whether its frames are judged here."""
        return partition in self._open

    def finish(self, partition: int, offset: int, judged: bool, deliveries: Iterable[Awaited]) -> list[Cover]:
        """Notes what became of a record; returns what its offset must wait for beside its `deliveries`."""
        with self._lock:
            arrived = self._arrived.pop((partition, offset), None)
            ledger = self._ledgers.get(arrived.key) if arrived is not None else None
            if arrived is None or ledger is None:
                return []
            return ledger.finish(offset, judged, arrived.published_ns, deliveries)

    def passed(self, partition: int) -> None:
        """Says that a record that arrived is no longer under way."""
        with self._lock:
            self._under_way[partition] -= 1

    def tick(self, now_s: float) -> None:
        """Takes up, forgets and stores states as is due; must be called often."""
        while self._notes:
            note = self._notes.popleft()
            if isinstance(note, Found):
                self._pipeline.take_up(note)
            elif not self._has_other_home(note):
                self._pipeline.forget(note[1])
        if now_s >= self._look_s or self._hurrying or self._leaving:
            self._look_s = now_s + LOOK_EVERY_S
            with self._lock:
                for key, ledger in self._ledgers.items():
                    if ledger.behind:
                        self._store_state(key, ledger, now_s)

    def hurry(self) -> bool:
        """From now on states are stored without waiting for their time; returns whether all are."""
        self._hurrying = True
        with self._lock:
            return not any(ledger.behind and ledger.failure is None for ledger in self._ledgers.values())

    # -- client's thread -----------------------------------------------------------------------------------

    def on_revoking(self, partitions: Collection[int]) -> None:
        """These partitions are about to go: what was begun is finished and stored, nothing more is begun."""
        self._leaving |= set(partitions) & self._open

    def is_settled(self, partitions: Collection[int]) -> bool:
        """Whether all that was begun of them is finished and stored."""
        with self._lock:
            behind = any(ledger.behind for key, ledger in self._ledgers.items() if key[0] in partitions)
            return not behind and not any(self._under_way[p] for p in partitions)

    def on_revoked(self, partitions: Collection[int]) -> None:
        """Gives partitions away: from now on nothing of them is judged or sent."""
        with self._lock:
            self._open -= set(partitions)
            self._leaving -= set(partitions)
            for key in [key for key in self._ledgers if key[0] in partitions]:
                del self._ledgers[key]
                self._due_s.pop(key, None)
                self._notes.append(key)
            for place in [place for place in self._arrived if place[0] in partitions]:
                del self._arrived[place]

    # ------------------------------------------------------------------------------------------------------

    def _open_with(self, partition: int, found: list[Found]) -> None:
        with self._lock:
            for stream in found:
                self._ledgers[partition, stream.stream_id] = StreamLedger(stream)
                self._notes.append(stream)
            self._open.add(partition)

    def _has_other_home(self, left: Key) -> bool:
        with self._lock:
            return any(key[1] == left[1] and key[0] != left[0] for key in self._ledgers)

    def _store_state(self, key: Key, ledger: StreamLedger, now_s: float) -> None:
        partition, stream_id = key
        state = self._pipeline.states.get(stream_id)
        now = self._hurrying or partition in self._leaving or now_s >= self._due_s.get(key, 0.0)
        if now and state is not None and ledger.begin(state, self._pipeline.bind):
            self._due_s[key] = now_s + self._interval_s
        before = ledger.stored

        def write(part: Part) -> Delivery | None:
            return self._store.try_write(partition, part.key, part.value, part.version)

        given = self._pipeline.calibrations.get(stream_id)
        ledger.advance(write, given.calibration_id if given is not None else "")
        if ledger.stored > before:
            STATES_STORED.labels(stream_id).inc()
