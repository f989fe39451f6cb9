"""Makes any known ONNX detector or classifier also return its class head's inputs for the boxes that it finds."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gradwatch import MissingPackageError

from .coco import COCO_CLASSES
from .manifest import InstrumentationError, Level, Manifest, NotInstrumentedError, Preprocessing, read_manifest
from .onnx_runtime import Device, load_session

if TYPE_CHECKING:
    from .instrumentation.recognition import Recognition

KEEP = 100  # places kept at each level


def recognize(model: Any, decoder: str | None = None, *, input_size: tuple[int, int] | None = None) -> Recognition:
    """What a model is, without changing it.

    model: a path or an onnx.ModelProto. decoder: the family's name (`nanodet`, `nanodet-plus`, `yolov5`, `yolov8`,
    `yolox`, `rtdetr`, `classifier`), None = found by the graph's structure. input_size: (width, height) px to fix
    where the file leaves them free. Runs the network once. Raises InstrumentationError (a ValueError) that says what
    was expected and found, FileNotFoundError, and MissingPackageError without the package onnx.
    """
    _require_onnx()
    from .instrumentation.graphs import Graph
    from .instrumentation.recognition import recognize_graph

    try:
        return recognize_graph(Graph(model, input_size), decoder)
    except InstrumentationError as error:
        where = f"{Path(model).name}: " if isinstance(model, str | Path) else ""
        raise InstrumentationError(f"{where}{error}") from error


def instrument(
    model: Any,
    decoder: str | None = None,
    keep: int = KEEP,
    *,
    classes: Sequence[str] | None = None,
    ranked: Sequence[int] | None = None,
    input_size: tuple[int, int] | None = None,
    preprocessing: Preprocessing | None = None,
    anchors_px: Sequence[tuple[float, float]] | None = None,
) -> Any:
    """The model (onnx.ModelProto) with new outputs; see `docs/onnx.md`. The original is not changed.

    keep: at most so many places of each level are given, best first. classes: their names; default: those that the
    file carries, else COCO's where there are 80, else their numbers. ranked: places are chosen by the best of these
    class ids, default all of them; only these can be asked for at run time. preprocessing: default as the family's
    authors do it. anchors_px: (width, height) of each head of a YOLOv5 that leaves its boxes undecoded and whose
    anchors are not the published ones.
    Raises as `recognize` does, and for names, ids or anchors that don't fit the heads.
    """
    return build(recognize(model, decoder, input_size=input_size), keep, classes, ranked, preprocessing, anchors_px)


def build(
    recognition: Recognition,
    keep: int = KEEP,
    classes: Sequence[str] | None = None,
    ranked: Sequence[int] | None = None,
    preprocessing: Preprocessing | None = None,
    anchors_px: Sequence[tuple[float, float]] | None = None,
) -> Any:
    """The instrumented model of a graph that was recognized; uses the recognition up. See `instrument`."""
    from .instrumentation.surgery import GraphExtension, add_classifier, add_level

    count, graph = recognition.class_count, recognition.graph
    chosen = tuple(range(count)) if ranked is None else tuple(sorted(set(ranked)))
    if keep < 1 or not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise InstrumentationError(
            f"expected to keep at least one place, ranked by classes of 0 to {count - 1}; got {keep} and {chosen}"
        )
    is_detector = recognition.decoder is not None
    manifest = Manifest(
        family=recognition.family,
        decoder=recognition.decoder,
        activation=recognition.activation,
        classes=_names(classes, graph.model, count),
        ranked=chosen if is_detector else (),
        objectness=recognition.matched.heads[0].objectness is not None,
        input_size=graph.input_size,
        levels=_with_anchors(recognition, anchors_px) if is_detector else (),
        preprocessing=preprocessing or recognition.preprocessing,
    )
    extension = GraphExtension(graph)
    for number, head in enumerate(recognition.matched.heads):
        if is_detector:
            add_level(extension, number, head, chosen, keep)
        else:
            add_classifier(extension, head)
    return extension.finish(manifest)


def open_instrumented(path: Path, device: Device = "auto", threads: int = 1, decoder: str | None = None) -> Any:
    """An ONNX Runtime session of an instrumented file; any other file is instrumented in memory first.

    Raises as `load_session` and `recognize` do; NotInstrumentedError, which names `gradwatch instrument`, for a file
    that isn't instrumented where the package onnx is absent.
    """
    session = load_session(path, device, threads)
    try:
        read_manifest(session)
    except NotInstrumentedError:
        del session
    else:
        return session
    try:
        _require_onnx()
    except ModuleNotFoundError as error:
        raise NotInstrumentedError(
            f"{path.name} is not instrumented, and instrumenting it here needs the package onnx; where that is: "
            f"gradwatch instrument {path.name} --out FILE"
        ) from error
    model = instrument(path, decoder)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / path.name
        made.write_bytes(model.SerializeToString())
        return load_session(made, device, threads)


def _with_anchors(recognition: Recognition, anchors_px: Sequence[tuple[float, float]] | None) -> tuple[Level, ...]:
    """The levels with the anchors given, or with those that were found. Raises where they are neither."""
    levels = recognition.levels
    if anchors_px is not None:
        if recognition.decoder != "anchor_boxes" or len(anchors_px) != len(levels):
            raise InstrumentationError(
                f"{recognition.family}: expected anchors for a YOLOv5 alone and one for each of its heads, "
                f"got {len(anchors_px)} for {len(levels)} heads"
            )
        pairs = zip(levels, anchors_px, strict=True)
        return tuple(msgspec.structs.replace(level, anchor_px=(float(w), float(h))) for level, (w, h) in pairs)
    if recognition.decoder == "anchor_boxes" and any(level.anchor_px is None for level in levels):
        raise InstrumentationError(
            f"{recognition.family}: the graph leaves its boxes undecoded and its heads are not those of the published "
            "networks: say the anchors (anchors_px)"
        )
    return levels


def _names(classes: Sequence[str] | None, model: Any, count: int) -> tuple[str, ...]:
    """As given, else as ultralytics' exporter writes them into a file, else COCO's if there are 80, else numbers."""
    if classes is not None:
        if len(classes) != count:
            raise InstrumentationError(f"expected {count} names of classes as the head has rows, got {len(classes)}")
        return tuple(classes)
    carried = {entry.key: entry.value for entry in model.metadata_props}.get("names", "")
    try:
        names = ast.literal_eval(carried)
    except (ValueError, SyntaxError):
        names = None
    if not isinstance(names, dict):
        return COCO_CLASSES if count == len(COCO_CLASSES) else tuple(str(number) for number in range(count))
    if set(names) != set(range(count)):
        raise InstrumentationError(
            f"the file carries names of {len(names)} classes, but its head has rows for {count}: "
            "was it recognized as what it is? Say the decoder, or the names"
        )
    return tuple(str(names[number]) for number in range(count))


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "instrumenting a model needs the package onnx: pip install 'gradwatch[instrument]'", name=error.name
        ) from error
