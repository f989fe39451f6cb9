"""Numbers with a range, for settings and options, and the sentence about a value that does not fit.

Both ends of every range are finite, so that NaN and infinity are refused as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]  # 0: at once
FrameRate = Annotated[float, Meta(gt=0, le=1000)]  # Hz
FrameNumber = Annotated[int, Meta(ge=0, le=10**9)]
FrameCount = Annotated[int, Meta(ge=1, le=10**9)]
Partition = Annotated[int, Meta(ge=0, le=99_999)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Threads = Annotated[int, Meta(ge=1, le=256)]
Bytes = Annotated[int, Meta(ge=1024**2, le=1024**5)]  # 1 MiB to 1 PiB
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
ChallengeLevel = Annotated[int, Meta(ge=1, le=5)]
Rounds = Annotated[int, Meta(ge=1, le=1000)]


def checked(value: object, kind: Any) -> Any:
    """A tree of plain values as an object of `kind`: a number of the above, or a struct of such.

    Raises ValueError, whose one line names the place inside the tree, what was expected and what was found.
    """
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        place, sentence = _first_fault(value, kind, "")
        raise ValueError(f"{place}: {sentence}" if place else sentence) from None


def span(kind: Any) -> str:
    """A range in words, "" for a type without one: `0 to 1`, `more than 0, at most 86400`."""
    spans = []
    for each in _alternatives(kind):
        for limits in getattr(each, "__metadata__", ()):
            low = limits.gt if limits.ge is None else limits.ge
            high = limits.lt if limits.le is None else limits.le
            if low is not None and high is not None:
                is_closed = limits.ge is not None and limits.le is not None
                above = "at least" if limits.gt is None else "more than"
                below = "at most" if limits.lt is None else "less than"
                spans.append(f"{low} to {high}" if is_closed else f"{above} {low}, {below} {high}")
    return " or ".join(spans)


def _first_fault(value: Any, kind: Any, place: str) -> tuple[str, str]:
    """Place of the first value that does not fit, and what is wrong with it."""
    for name, part, part_kind in _parts(value, kind):
        try:
            msgspec.convert(part, part_kind, strict=False)
        except msgspec.ValidationError:
            return _first_fault(part, part_kind, f"{place}.{name}" if place else name)
    limits = span(kind)
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        if not limits:
            return place, str(error)
        # a value of another type is not shown: it may be a password in a wrong place
        is_number = ", got " not in str(error)
        return place, f"expected {limits}, got {_shown(value)}" if is_number else f"{error}; the range is {limits}"
    raise AssertionError(f"{place} fits")


def _parts(value: Any, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, value and type of each part of a value that has parts, as far as its type is known."""
    for each in _alternatives(kind):
        bare = get_args(each)[0] if get_origin(each) is Annotated else each
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and isinstance(value, Mapping):
            kinds = get_type_hints(bare, include_extras=True)
            yield from ((name, value[name], kinds[name]) for name in kinds if name in value)
        elif get_origin(bare) is dict and isinstance(value, Mapping):
            yield from ((str(name), part, get_args(bare)[1]) for name, part in value.items())
        elif get_origin(bare) in (tuple, list) and isinstance(value, list | tuple):
            yield from ((str(number), part, get_args(bare)[0]) for number, part in enumerate(value))


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union besides None, or the type itself."""
    union = get_origin(kind) in (Union, UnionType)
    return [each for each in get_args(kind) if each is not NoneType] if union else [kind]


def _shown(number: Any) -> str:
    """The number as written; Python refuses to write the longest integers."""
    is_long = isinstance(number, int) and number.bit_length() > 128
    return f"a number of {number.bit_length()} bits" if is_long else str(number)
