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

import math
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable

from msgspec.structs import replace

from gradwatch.streams.observability.metrics import FRAMES_SKIPPED, STATES_STORED
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.offsets import Awaited, Loss
from gradwatch.streams.transport.state import StateReader, StateTopic
from gradwatch.streams.wire.frames import bare_stream_id
from gradwatch.streams.wire.messages import BARE_RUN, FrameStamp

from ..judging.state import JudgeState
from .checkpoints import Cover, StreamLedger
from .ledgers import MOVED_AFTER_S, Key, Ledgers
from .losses import Losses
from .moved_streams import Elsewhere, MovedStreams
from .pipeline import Pipeline
from .stored_state import NOTHING, Covered, Found, StoredState, found_in

CHECK_EVERY_S = 0.02


class Ownership:
    """The partitions of one worker and the states of their streams, each stored at most every `interval_s`.

    A state that was stored longer than `keep_s` ago is removed instead of taken up.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: StateReader,
        store: StateTopic,
        interval_s: float = 1.0,
        moved: MovedStreams | None = None,
        keep_s: float = math.inf,
    ) -> None:
        self._pipeline, self._source, self._store, self._interval_s = pipeline, source, store, interval_s
        self._moved = moved or MovedStreams(None)
        self._keep_ns = keep_s * 1e9
        self._lock = threading.RLock()
        self._ledgers = Ledgers(lambda p, part: self._store.try_write(p, *part), pipeline.begin_anew)
        self._losses = Losses(pipeline.health)
        self._topic = self._topic_id = ""
        self._left: dict[int, str] = {}  # the only stream of partitions that are revoked
        self._records: dict[tuple[int, int], Key] = {}  # by partition and offset
        self._in_flight: Counter[int] = Counter()  # records by partition
        self._owned: set[int] = set()
        self._revoking: set[int] = set()
        self._loading: dict[int, int] = {}
        self._tasks: deque[Found | str] = deque()  # for the judge: states to take up, streams to forget
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
        anew = set(consumer.begun_anew)
        ends = consumer.release(loaded)
        if ends is None:
            return True
        self._topic, self._topic_id = consumer.topic, consumer.topic_id
        for partition in loaded:
            self._own(partition, found_in(values[partition]), -1 if partition in anew else ends[partition])
        self._pipeline.adopts_from |= ends
        return bool(consumer.held)

    def already_judged(self, stamp: FrameStamp) -> bool:
        """Whether the loaded state covers a frame that arrived; such a frame is counted as skipped."""
        stream_id = stamp.identity.stream_id
        with self._lock:
            ledger = self._ledgers.get((stamp.partition, stream_id))
            covered = ledger is not None and ledger.already_judged(stamp.offset)
        if covered:
            FRAMES_SKIPPED.labels(stream_id, "already_judged").inc()
        return covered

    def must_wait(self, stamp: FrameStamp) -> bool:
        """Whether the stream's newest state is looked for until `look_for_moved` has it: see `MovedStreams`."""
        identity, key = stamp.identity, (stamp.partition, stamp.identity.stream_id)
        with self._lock:
            if stamp.partition not in self._owned:
                return False
            ledger = self._ledgers.get(key)
            paused = ledger is None or ledger.idle_s(time.monotonic()) > MOVED_AFTER_S
            waits = self._moved.must_wait(key, identity.run_id, paused)
            self._in_flight[stamp.partition] += waits
        return waits

    def look_for_moved(self, consumer: FrameConsumer) -> bool:
        """Goes on with the search; returns whether records that waited may be admitted now.

        Raises what the source raises.
        """
        moved = self._moved
        if not moved.can_look:
            return False
        moved.foreign = consumer.partitions - self._owned
        looked_for = moved.step()
        with self._lock:
            for key in [key for key in moved.waiting if key[1] in looked_for]:
                self._in_flight[key[0]] -= moved.waiting.pop(key)
                if key[0] in self._owned:
                    self._go_on(key, looked_for[key[1]])
        consumer.set_aside({partition for partition, _ in moved.waiting})
        return bool(looked_for)

    def note_arrival(self, stamp: FrameStamp) -> None:
        """Records that a record is in flight until `note_done`."""
        key = (stamp.partition, stamp.identity.stream_id)
        with self._lock:
            self._in_flight[stamp.partition] += 1
            if stamp.partition not in self._owned:
                return
            ledger = self._ledgers.get(key) or self._ledgers.add(key, StreamLedger(Covered(topic_id=self._topic_id)))
            ledger.arrive(stamp.offset, stamp.identity, time.monotonic())
            self._moved.note_run(key, stamp.identity.run_id)
            self._records[stamp.partition, stamp.offset] = key
        self._losses.note_arrival(stamp.partition, stamp.identity)

    def note_rejected(self, stamp: FrameStamp, key: bytes | None) -> None:
        """Records that a record is no frame; `key` names its stream, even where its headers can't be read."""
        if stamp.identity.run_id == BARE_RUN and key is not None:
            self._losses.note_unnumbered(key.decode("utf-8", "replace"))

    def account(self, losses: list[Loss]) -> None:
        """Takes the consumer's `losses` and accounts for them; must be called often."""
        for loss in losses:
            with self._lock:
                self._losses.note_gap(loss, self._ledgers.stored_below(loss.partition))
        losses.clear()
        now_s = time.monotonic()
        self._losses.settle(self._owned, self._stream_of, now_s)
        self._losses.report(now_s)

    def close(self) -> None:
        """Stops loading states, and reports what is lost so far."""
        self._source.close()
        self._moved.close()
        self._losses.settle(None, self._stream_of, math.inf)
        self._losses.report(math.inf)

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
            key = self._records.pop((partition, offset), None)
            ledger = self._ledgers.get(key) if key is not None else None
            return [] if ledger is None else ledger.finish(offset, judged, deliveries)

    def note_change(self, stream_id: str, deliveries: Iterable[Awaited]) -> None:
        """Records that a stream's state has changed without a frame, and what is published about it."""
        with self._lock:
            ledgers = self._ledgers.of(stream_id)
            if ledgers:
                max(ledgers, key=lambda ledger: ledger.covered.version).change(deliveries)

    def idle_s(self, now_s: float) -> dict[str, float]:
        """For how long no frame of each stream has arrived; 0 while one is in flight, or not stored."""
        with self._lock:
            return {
                stream_id: min(ledger.idle_s(now_s) for ledger in self._ledgers.of(stream_id))
                for stream_id in self._ledgers.streams
            }

    def forget(self, stream_id: str, now_s: float) -> None:
        """Frees the memory of a stream of which nothing is in flight, and removes its stored state.

        The state stays if the stream has calibrated itself; the next frame of the stream takes it up again.
        """
        with self._lock:
            keys = self._ledgers.keys_of(stream_id)
            if len(keys) != 1 or keys[0] in self._moved.waiting:
                return
            ledger = self._ledgers.of(stream_id)[0]
            is_kept = self._pipeline.is_worth_keeping(stream_id)
            if not ledger.idle_s(now_s) or (is_kept and not self._moved.can_look):
                return
            if is_kept:
                self._moved.forgotten[stream_id] = keys[0][0]
            else:
                ledger.remove_all(stream_id)
                self._ledgers.advance(keys[0])
            if ledger.removed:  # else the producer has no room, and this is called again
                self._drop(keys[0])

    def note_done(self, partition: int) -> None:
        """Records that a record that arrived is no longer in flight."""
        with self._lock:
            self._in_flight[partition] -= 1

    def tick(self, now_s: float) -> None:
        """Takes up, forgets and stores states as is due; must be called often."""
        while self._tasks:
            task = self._tasks.popleft()
            if isinstance(task, str):
                self._pipeline.forget(task)
            elif task.version >= self._newest_version(task.stream_id):
                self._pipeline.take_up(task)
        if now_s >= self._check_s or self._urgent or self._revoking:
            self._check_s = now_s + CHECK_EVERY_S
            with self._lock:
                for key, ledger in self._ledgers.items():
                    if ledger.behind or not ledger.removed:
                        self._store_state(key, ledger, now_s)
                for key in self._ledgers.remove_what_was_left(time.monotonic()):
                    self._drop(key)

    def store_now(self) -> bool:
        """Stores states without waiting for `interval_s` from now on; returns whether all are stored."""
        self._urgent = True
        with self._lock:
            return not any(ledger.behind and ledger.failure is None for _, ledger in self._ledgers.items())

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
        self._losses.settle(partitions, self._stream_of, math.inf)
        with self._lock:
            self._left |= {partition: self._stream_of(partition) for partition in partitions}
            self._owned -= set(partitions)
            self._revoking -= set(partitions)
            for key in self._ledgers.keys_in(partitions):
                self._drop(key)
            self._moved.revoke(partitions)
            for place in [place for place in self._records if place[0] in partitions]:
                del self._records[place]

    # ------------------------------------------------------------------------------------------------------

    def _own(self, partition: int, found: list[Found], end: int) -> None:
        """Takes up what was found for a partition that ends before offset `end`; -1: its offsets count anew."""
        with self._lock:
            for stream in found:
                self._take(partition, stream, end)
            self._owned.add(partition)
        self._losses.extend(partition)

    def _take(self, partition: int, found: Found, end: int) -> None:
        """Takes up what was found of a stream in a partition that ends before offset `end`."""
        covered = _still_covered(found, self._topic_id, end)
        ledger = self._ledgers.add((partition, found.stream_id), StreamLedger(covered, found.shelf, time.monotonic()))
        self._moved.note_run((partition, found.stream_id), covered.run_id)
        if found.stored is None:
            ledger.remove([found.stream_id])  # what can't be read has a version that may hide newer ones
        elif found.stored.stored_ns and time.time_ns() - found.stored.stored_ns > self._keep_ns:
            ledger.remove_all(found.stream_id)
            return
        self._tasks.append(found)
        if covered.version == self._ledgers.newest_version(found.stream_id):
            self._losses.resume(found.stream_id, covered.run_id, covered.seq)

    def _stream_of(self, partition: int) -> str:
        """The only stream of a partition, else the name of the partition itself."""
        with self._lock:
            streams = [stream_id for _, stream_id in self._ledgers.keys_in([partition])]
        name = self._left.get(partition) or bare_stream_id(self._topic, partition)
        return streams[0] if len(streams) == 1 else name

    def _newest_version(self, stream_id: str) -> int:
        with self._lock:
            return self._ledgers.newest_version(stream_id)

    def _drop(self, key: Key) -> None:
        """Drops the ledger of a stream in a partition; with the last one what is known of the stream."""
        self._due_s.pop(key, None)
        self._moved.drop(key)
        if self._ledgers.drop(key):
            self._losses.forget(key[1])
            self._tasks.append(key[1])

    def _go_on(self, key: Key, elsewhere: Elsewhere | None) -> None:
        """Goes on from a state that was found in a partition of another worker, unless an own one is newer."""
        if elsewhere is None or elsewhere.found.version <= self._ledgers.newest_version(key[1]):
            return
        if elsewhere.partition == key[0]:  # it was forgotten here
            self._take(key[0], elsewhere.found, sys.maxsize)
            return
        ledger = self._ledgers.get(key) or self._ledgers.add(key, StreamLedger(Covered(topic_id=self._topic_id)))
        ledger.follow(elsewhere.found.version)
        self._ledgers.left(elsewhere.partition, elsewhere.found, time.monotonic())
        self._tasks.append(elsewhere.found)
        if elsewhere.found.stored is not None:
            self._losses.resume(key[1], elsewhere.found.stored.seen_run, elsewhere.found.stored.seen_seq)

    def _bind(self, state: JudgeState, covered: Covered) -> StoredState:
        return replace(self._pipeline.bind(state, covered), stored_ns=time.time_ns())

    def _store_state(self, key: Key, ledger: StreamLedger, now_s: float) -> None:
        partition, stream_id = key
        state = self._pipeline.states.get(stream_id)
        due = self._urgent or partition in self._revoking or now_s >= self._due_s.get(key, 0.0)
        if due and state is not None:
            ledger.follow(self._ledgers.newest_version(stream_id))
            if ledger.begin(state, self._bind):
                self._due_s[key] = now_s + self._interval_s
        given = self._pipeline.calibrations.get(stream_id)
        if self._ledgers.advance(key, given.calibration_id if given is not None else ""):
            STATES_STORED.labels(stream_id).inc()


def _still_covered(found: Found, topic_id: str, end: int) -> Covered:
    """What a state covers of the frames topic as it is now: nothing of a partition whose offsets count anew."""
    covered = found.stored.covered if found.stored is not None else NOTHING
    known = bool(covered.topic_id and topic_id)
    same = covered.topic_id == topic_id if known else covered.next_offset <= end
    return covered._replace(next_offset=covered.next_offset if same and end >= 0 else 0, topic_id=topic_id)
