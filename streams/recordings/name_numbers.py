"""The numbers in the file names of CURE-TSD, CURE-TSR and CURE-OR: what they may be, and an error that says so."""

from __future__ import annotations

from collections.abc import Mapping


def check_ranges(name: object, ranges: Mapping[str, tuple[int, int]], error: type[ValueError]) -> None:
    """Raises `error` unless each attribute of `name` is from its first to its second number, both included."""
    for field, (low, high) in ranges.items():
        if not low <= (number := getattr(name, field)) <= high:
            raise error(f"{field} must be from {low} to {high}, got {number}")


def check_challenge_and_level(challenge_type: int, level: int, error: type[ValueError]) -> None:
    """Raises `error` unless both say that there is no challenge, or neither; CURE-TSD and CURE-TSR have it so."""
    if (challenge_type == 0) != (level == 0):
        raise error(f"challenge type and level must both be 0 or neither, got {challenge_type} and {level}")
