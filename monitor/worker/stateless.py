"""Ownership of partitions where no states are stored."""

from __future__ import annotations

from .checkpoints import Cover


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

    def idle_s(self, *_: object) -> dict[str, float]:
        """Returns {}: no arrivals are known."""
        return {}

    store_now = owns
    load_states = already_judged = is_leaving
    must_wait = look_for_moved = is_leaving
    note_arrival = note_done = leave_to_next_owner = account = close = note_change = note_rejected = forget = tick
