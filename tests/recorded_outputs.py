"""Records byte for byte what a worker publishes, and compares two such recordings.

    python tests/recorded_outputs.py record DIR
    python tests/recorded_outputs.py compare A B

`record` plays four streams through the steps of a worker, on one thread and without a broker, and writes one
MessagePack file a stream: all that would be published, in order, as {topic, partition, key, value, headers}. Two
recordings of the same code on one machine differ in the `latency_ms` of reports alone.
`compare` imports nothing of gradwatch. It decodes values to name the place of a difference, leaves `latency_ms` out,
and wants all else equal: types, every bit of numbers and arrays, the order of keys, and how values are encoded.
"""

from __future__ import annotations

import math
import os
import struct
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from msgspec import DecodeError, json, msgpack

Value = Any  # a decoded value: maps, lists, plain values; an array is a map with its bytes
Change = Callable[[str, Value, dict[str, Any]], Value]
"""(topic, value, memory) -> the value without one intended change of the wire. `memory` is one map a stream."""

# Clean chunks are removed in the order of a set, which without the first differs from process to process.
PINNED = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

if sys.argv[1:2] == ["record"]:
    if not PINNED.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | PINNED)

    import cv2

    from gradwatch.monitor.commands.judging.calibrate import calibrate
    from gradwatch.monitor.config import load
    from gradwatch.monitor.worker.build import build_judge, build_observer, load_calibrations, topics_of
    from gradwatch.monitor.worker.ownership import Ownership
    from gradwatch.monitor.worker.pipeline import Pipeline
    from gradwatch.monitor.worker.verdict_feed import CorrectionBook
    from gradwatch.streams.dead_letters import DeadLetters
    from gradwatch.streams.recordings.played import ChallengeOnset, Playback, PlayedSource, SourceFrame
    from gradwatch.streams.recordings.still import Still
    from gradwatch.streams.recordings.video import video
    from gradwatch.streams.sinks import SINKS
    from gradwatch.streams.transport.producer import Delivery
    from gradwatch.streams.transport.state import StateTopic
    from gradwatch.streams.wire.frames import encode_frame, rejected_stamp
    from gradwatch.streams.wire.messages import (
        ClassOverride,
        EncodedFrame,
        FrameIdentity,
        FrameStamp,
        OutcomeCause,
        RegionMute,
    )
    from gradwatch.streams.wire.outputs import encode_correction
    from gradwatch.streams.wire.pixels import BadRecordError
    from gradwatch.streams.wire.records import Record
    from gradwatch.streams.world.drive import Drive, Swap

MOTORWAY = Path(__file__).resolve().parent / "recordings" / "motorway.mp4"
RATE_HZ = 5.0
START_NS = 1_760_000_000_000_000_000  # when the first frame of a stream is published
CONFIGURATION = """worker: {device: cpu, model_threads: 1}
judge: {calibration_frames: 110}
streams: {town: &drive {calibration: shipped, source: synthetic}, swapped: *drive, motorway: {calibration: %s}}"""
# By seq, in every run that is so long: what is done to a record, and which frames are dropped.
BROKEN: dict[int, Callable[[Record], Record]] = {
    20: lambda record: replace(record, value=b"no picture"),
    21: lambda record: replace(record, value=(record.value or b"")[:2000]),
    22: lambda record: replace(record, value=None),
    23: lambda record: replace(record, headers=(*record.headers, ("gw_seq", b"twenty-three"))),
    24: lambda record: replace(record, headers=(("gw_schema", b"2.0"), ("a header without a value", None))),
}
DROPPED = {60: "superseded", 61: "stale", 190: "superseded"}


class StubProducer(list[dict[str, Any]]):
    """Keeps the records that it is given, and has delivered them at once."""

    pending_bytes, max_bytes = 0, 1 << 26

    def send(self, topic: str, key: Any, value: Any, headers: Any, partition: int | None = None) -> Delivery:
        self.append({"topic": topic, "partition": partition, "key": key, "value": value, "headers": headers})
        delivery = Delivery()
        delivery.finish(offset=len(self) - 1)
        return delivery

    try_send = send


def record_all(folder: Path) -> None:
    """Records four streams; the town drive and its rain are those of `gradwatch demo`."""
    cv2.setNumThreads(1)
    folder.mkdir(parents=True, exist_ok=True)
    drive = Drive("town", 1, 300, RATE_HZ)
    rain = Playback(RATE_HZ, challenge=ChallengeOnset("rain", 5, 1, onset_seq=135))
    haze = Playback(RATE_HZ, 110, to_and_fro=True, frames=220, challenge=ChallengeOnset("haze", 4, onset_seq=150))
    signs = Drive("town", 3601, 300, RATE_HZ, swap=Swap(identity=4, at_seq=139, label="parking"))
    near = range(40, 170)  # frames around the swap
    swapped = PlayedSource("swapped", lambda: (Still(0, image=signs.image(seq)) for seq in near), Playback(RATE_HZ))
    town = PlayedSource("town", lambda: (Still(0, image=drive.image(seq)) for seq in range(300)), rain)
    streams: dict[str, dict[str, Iterable[SourceFrame]]] = {
        "town": {"town-1": town, "town-2": islice(town, 10)},
        "swapped": {"swapped-1": swapped},
        "motorway": {"motorway-1": video(MOTORWAY, playback=haze)},
        "selfcal": {"selfcal-1": video(MOTORWAY, playback=Playback(RATE_HZ, to_and_fro=True, frames=220))},
    }
    with tempfile.TemporaryDirectory() as place:
        config, made = Path(place, "gradwatch.yaml"), Path(place, "motorway.calibration")
        config.write_text(CONFIGURATION % made)
        calibrate([MOTORWAY], "motorway", made, config, RATE_HZ, last=109)
        for partition, (stream_id, runs) in enumerate(streams.items()):
            producer = StubProducer()
            if stream_id == "motorway":
                producer.send("calibration", b"motorway", made.read_bytes(), [])
            work(config, producer, partition, frames(stream_id, partition, runs))
            (folder / f"{stream_id}.msgpack").write_bytes(msgpack.encode(producer))
            print(f"{stream_id}: {len(producer)} records")


def frames(stream_id: str, partition: int, runs: dict[str, Iterable[SourceFrame]]) -> Iterator[Record]:
    """The records of the frames topic."""
    taken = ((run_id, seq, frame) for run_id, source in runs.items() for seq, frame in enumerate(source))
    for offset, (run_id, seq, shot) in enumerate(taken):
        sent_ns = START_NS + offset * round(1e9 / RATE_HZ)
        trace = f"00-{partition + 1:016x}{offset + 1:016x}-{seq + 1:016x}-01"
        identity = FrameIdentity(stream_id, run_id, seq)
        stamp = FrameStamp(identity, shot.capture_ns, sent_ns, shot.clock, trace)
        key, value, headers = encode_frame(EncodedFrame(stamp, shot.content, shot.encoding))
        record = Record("gradwatch.frames", partition, offset, sent_ns // 1_000_000, key, value, tuple(headers))
        yield BROKEN[seq](record) if seq in BROKEN else record


def verdicts() -> Iterator[Record]:
    """What a reviewer says of town: what one track is, and that signs on the right do not matter."""
    override = ClassOverride("override-1", "town", "ada", START_NS, "town-1", 23, "stop")  # seen in frames 114 to 140
    mute = RegionMute("mute-1", "town", "ada", START_NS + 1, [(700, 0), (960, 0), (960, 540), (700, 540)], ["sign"])
    for verdict in (override, mute):
        yield Record("gradwatch.verdicts", 0, 0, 0, f"town/{verdict.verdict_id}".encode(), encode_correction(verdict))


def work(config: Path, producer: Any, partition: int, records: Iterable[Record]) -> None:
    """Does with the records of one partition what a worker does; the clock of stored states counts frames."""
    configuration, book = load(config), CorrectionBook()
    topics, observer = topics_of(configuration), build_observer(configuration)
    judge = build_judge(configuration, observer)
    sink, letters = SINKS["kafka"](producer, topics, producer), DeadLetters(producer, topics)
    pipeline = Pipeline(observer, judge, sink, letters, load_calibrations(configuration, judge), corrections=book)
    ownership = Ownership(pipeline, Mock(step=lambda _: {partition: {}}), StateTopic(producer, topics.state), 20.0)
    consumer = Mock(held={partition: 1}, release=lambda _: {partition: 0}, begun_anew=set(), topic_id="")
    ownership.load_states(consumer, 0.0)
    for record in records:
        for verdict in verdicts() if record.offset == 40 else ():  # in force 50 frames later
            book.update(verdict)
        ownership.note_arrival(rejected_stamp(record))
        ownership.tick(float(record.offset))
        ownership.finish(partition, record.offset, *step(pipeline, record))
        ownership.note_done(partition)
    while not ownership.store_now():
        ownership.tick(0.0)


def step(pipeline: Pipeline, record: Record) -> tuple[bool, list[Delivery]]:
    """`Pipeline.step`, with frames that are dropped; returns whether the frame was judged, too."""
    try:
        frame = pipeline.read(record)
        if (cause := DROPPED.get(frame.stamp.identity.seq)) is not None:
            return False, pipeline.drop(frame.stamp, OutcomeCause(cause))
        image = pipeline.decode(frame)
    except BadRecordError as error:
        return False, pipeline.reject(record, error)
    judgement = pipeline.judge(frame.stamp, pipeline.observe([frame.stamp], [image])[0])
    return True, pipeline.publish(frame.stamp, judgement)


# -- intended changes of the wire since A was recorded: undone in B, or made in A too --

# The closed forms of a kind's crops in the order in which they were stored, and those that not all crops have.
FORMS = {
    "pedestrian_": "predicted uniform ones msp energy expectancy_gradient expectancy_surprisal feature_norm",
    "": "predicted msp energy ones expectancy_gradient expectancy_surprisal uniform feature_norm",
}
PARTIAL = ("expectancy_gradient", "expectancy_surprisal")


def reports_without_detections(topic: str, value: Value, memory: dict[str, Any]) -> Value:
    """Undoes reports 1.1: `score_detections` was added, the unused flag `forecasts.calibrated` removed."""
    if topic == "gradwatch.reports":
        memory["report"], memory["detections"] = value, value.pop("score_detections")
        if value["forecasts"] is not None:
            value["forecasts"]["calibrated"] = False
    return value


def overlays_with_guessed_p_values(topic: str, value: Value, memory: dict[str, Any]) -> Value:
    """Undoes overlays that name the p-value of a box: where expectancy scores were fewer than the boxes that expect
    something, their p-values could not be told apart, and the head gradient's were shown."""
    if topic != "gradwatch.overlays" or memory["report"]["detections"] is None:
        return value
    report, index = memory["report"], memory["detections"]
    kinds, tracks = report["detections"]["kind"], report["tracks"]
    expecting = [
        kinds[d]
        for d, label in zip(numbers(tracks["detection_index"]), tracks["expected"], strict=True)
        if label and d >= 0
    ]
    for kind, prefix in (("sign", ""), ("pedestrian", "pedestrian_")):
        shown, fallback = f"{prefix}expectancy_gradient", f"{prefix}head_gradient_predicted"
        if shown not in report["p_values"] or len(numbers(index[shown])) == expecting.count(kind):
            continue
        guessed = dict(zip(numbers(index[fallback]), numbers(report["p_values"][fallback]), strict=True))
        for row, p_value in zip(numbers(index[shown]), numbers(report["p_values"][shown]), strict=True):
            text = value["texts"][row]
            text["text"] = text["text"].replace(f"p {p_value:.2g}", f"p {guessed[row]:.2g}")
    return value


def clean_crops_with_gaps(topic: str, value: Value, memory: dict[str, Any]) -> Value:
    """Undoes closed forms with their detections in clean frames: crops without a value were NaN, heads a score."""
    if topic == "gradwatch.state" and value is not None and value[1] == "CleanChunk":
        for frame in value[2]["frames"]:
            frame["crops"] = arrays_of(frame["crops"])
    return value


def arrays_of(forms: Value) -> Value:
    """{name: array (k,)} over all crops of a kind, NaN where a form does not apply to one."""
    crops = {}
    for prefix, names in FORMS.items():
        of_all = forms.get(f"{prefix}msp", {})
        for short in names.split():
            name = prefix + (f"head_gradient_{short}" if short in ("predicted", "uniform", "ones") else short)
            if name in forms or short not in PARTIAL:
                form = forms.get(name, {})
                values = dict(zip(numbers(form.get("detection_index")), numbers(form.get("values")), strict=True))
                crops[name] = array([values.get(row, math.nan) for row in numbers(of_all.get("detection_index"))])
        if prefix:
            crops["pedestrian_head"] = array(numbers(of_all.get("head")))
    return crops


def numbers(array: Value) -> list[Any]:
    """The numbers in an array as reports or states hold it; none where there is no array."""
    if array is None:
        return []
    return [number for (number,) in struct.iter_unpack(ITEMS[array["dtype"]], array.get("data", array.get("bytes")))]


def array(values: list[Any]) -> Value:
    """An array (k,) of float32 as states hold it."""
    return {"dtype": "<f4", "shape": [len(values)], "bytes": struct.pack(f"<{len(values)}f", *values)}


def tiles_without_latents(topic: str, value: Value, memory: dict[str, Any]) -> Value:
    """Makes in A: the tiles of clean frames lost their latents, which can't be made up in B."""
    if topic == "gradwatch.state" and value is not None and value[1] == "CleanChunk":
        for frame in value[2]["frames"]:
            del frame["observation"]["tiles"]["latent"]
    return value


UNDONE: list[Change] = [reports_without_detections, overlays_with_guessed_p_values, clean_crops_with_gaps]
MADE: list[Change] = [tiles_without_latents]
RENAMED = {("gw_schema", b"1.1"): b"1", ("dlq_error", b"BadRecordError"): b"BadRecord"}  # values of headers


CODECS: dict[str, Any] = dict.fromkeys(("calibration", "gradwatch.reports", "gradwatch.state"), msgpack)
CODECS |= dict.fromkeys(("gradwatch.overlays", "gradwatch.alerts"), json)
ITEMS = {"float32": "<f", "int32": "<i", "<f4": "<f", "<f8": "<d", "<i4": "<i", "<i8": "<q"}  # of arrays, by dtype


def compare(old: Path, new: Path) -> bool:
    """Prints what differs; returns whether nothing does."""
    streams = sorted({path.name for folder in (old, new) for path in folder.glob("*.msgpack")})
    same = bool(streams)
    for stream in streams:
        a, b = list(opened(old / stream, MADE)), list(opened(new / stream, UNDONE))
        if [topic for topic, _ in a] != [topic for topic, _ in b]:
            print(f"{stream}: the topics do not come in the same order")
            same = False
        for topic in dict.fromkeys(topic for topic, _ in a + b):
            place = f"{stream.removesuffix('.msgpack')} {topic.removeprefix('gradwatch.')}"
            pairs = zip_longest(*([parts for of, parts in records if of == topic] for records in (a, b)))
            found = [differences(x, y, f"{place}[{index}]") for index, (x, y) in enumerate(pairs)]
            print(f"{place}: {found.count([])} of {len(found)} records equal")
            print(*(f"  {line}\n" for line in islice(chain(*found), 10)), sep="", end="")
            same &= not any(found)
    return same


def opened(path: Path, changes: list[Change]) -> Iterator[tuple[str, list[Any]]]:
    """Of each record its topic and [decoded value, the rest, with the bytes if msgspec would encode it otherwise]."""
    memory: dict[str, Any] = {}
    for record in msgpack.decode(path.read_bytes()) if path.is_file() else []:
        topic, value, other, codec = record["topic"], record["value"], None, CODECS.get(record["topic"])
        if codec is not None and value is not None:
            with suppress(DecodeError, UnicodeDecodeError):  # what can't be decoded is compared as bytes
                value = codec.decode(record["value"])
                other = None if codec.encode(value) == record["value"] else record["value"]
        for change in changes:
            value = change(topic, value, memory)
        if changes is UNDONE:
            record["headers"] = [[name, RENAMED.get((name, text), text)] for name, text in record["headers"]]
        if topic == "gradwatch.reports" and isinstance(value, dict):
            value.pop("latency_ms", None)
        yield topic, [value, record | {"value": other}]


def differences(a: list[Any] | None, b: list[Any] | None, place: str) -> list[str]:
    """One line for every place in which two records differ."""
    if a is None or b is None:
        return [f"{place}: only in {'B' if a is None else 'A'}"]
    if msgpack.encode(a) == msgpack.encode(b):  # every bit, and the order of keys
        return []
    old, new = (dict(leaves(parts[0], place)) | dict(leaves(parts[1], f"{place} record")) for parts in (a, b))
    lines = []
    for leaf in (leaf for leaf in old | new if old.get(leaf) != new.get(leaf)):
        x, y = old.get(leaf, "absent"), new.get(leaf, "absent")
        start = next((i for i in range(min(len(x), len(y))) if x[i] != y[i]), 0) // 40 * 40  # long ones have much equal
        lines.append(f"{leaf}: {x[start : start + 80]} / {y[start : start + 80]}")
    return lines or [f"{place}: differs in the bits of a NaN alone"]


def leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """All plain values in a decoded one as text, by place; with the order of keys, and MessagePack inside of bytes."""
    if isinstance(value, dict):
        yield f"{place} keys", repr(list(value))
        item = ITEMS.get(str(value.get("dtype")))
        for key, inner in value.items():
            if item and isinstance(inner, bytes) and not len(inner) % struct.calcsize(item):
                yield from leaves([number for (number,) in struct.iter_unpack(item, inner)], place)
            else:
                yield from leaves(inner, f"{place}.{key}")
    elif isinstance(value, list):
        yield f"{place} length", str(len(value))
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{place}[{index}]")
    else:
        yield place, repr(value)
        with suppress(DecodeError, UnicodeDecodeError):
            if isinstance(value, bytes) and isinstance(inner := msgpack.decode(value), dict | list):
                yield from leaves(inner, f"{place}<msgpack>")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", folder]:
            record_all(Path(folder))
        case ["compare", old, new]:
            sys.exit(0 if compare(Path(old), Path(new)) else 1)
        case _:
            sys.exit(__doc__)
