"""Adds outputs to any known ONNX detector or classifier: the inputs of its class head for the boxes that it finds."""

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
from .onnx_runtime import Device, import_onnx, load_session

if TYPE_CHECKING:
    from .instrumentation.recognition import Recognition

KEEP = 100  # locations kept at each level


def recognize(model: Any, decoder: str | None = None, *, input_size: tuple[int, int] | None = None) -> Recognition:
    """Family and heads of a model, which is not changed.

    model: a path or an onnx.ModelProto. decoder: name of the family (`nanodet`, `nanodet-plus`, `yolov5`, `yolov8`,
    `yolox`, `rtdetr`, `classifier`), None = recognized by the graph's structure. input_size: (width, height) px to
    fix where the file leaves them free. Runs the network once. Raises InstrumentationError, which states what was
    expected and found, MissingFileError, and MissingPackageError without the package onnx.
    """
    import_onnx("instrumenting a model")
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

    model, decoder, input_size: as in `recognize`; or model is a result of `recognize`, whose graph is then changed.
    keep: number of locations returned for each level, best first. classes: their names; default: those in the file,
    else COCO's if there are 80, else numbers. ranked: class ids by whose best score locations are ranked, default
    all; at run time only these can be detected. preprocessing: default that of the family's authors. anchors_px:
    (width, height) of each head of a YOLOv5 without decoded boxes whose anchors are not the published ones.
    Raises as `recognize` does, and for names, ids or anchors that do not match the heads.
    """
    import_onnx("instrumenting a model")
    from .instrumentation.recognition import Recognition
    from .instrumentation.surgery import GraphExtension, add_classifier, add_level

    recognition = model if isinstance(model, Recognition) else recognize(model, decoder, input_size=input_size)
    count, graph = recognition.class_count, recognition.graph
    chosen = tuple(range(count)) if ranked is None else tuple(sorted(set(ranked)))
    if keep < 1 or not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise InstrumentationError(
            f"expected to keep at least one location, ranked by classes of 0 to {count - 1}; got {keep} and {chosen}"
        )
    is_detector = recognition.decoder is not None
    manifest = Manifest(
        family=recognition.family,
        decoder=recognition.decoder,
        activation=recognition.matched.activation,
        classes=_class_names(classes, graph.model, count),
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
    that is not instrumented where the package onnx is absent.
    """
    session = load_session(path, device, threads)
    try:
        read_manifest(session)
    except NotInstrumentedError:
        del session
    else:
        return session
    try:
        model = instrument(path, decoder)
    except MissingPackageError as error:
        raise NotInstrumentedError(
            f"{path.name} is not instrumented, and instrumenting it here needs the package onnx; run where onnx is "
            f"installed: gradwatch instrument {path.name} --out FILE"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        instrumented = Path(folder) / path.name
        instrumented.write_bytes(model.SerializeToString())
        return load_session(instrumented, device, threads)


def _with_anchors(recognition: Recognition, anchors_px: Sequence[tuple[float, float]] | None) -> tuple[Level, ...]:
    """The levels with the given anchors, else with those found in the graph. Raises where both are missing."""
    levels = recognition.levels
    if anchors_px is not None:
        if recognition.decoder != "anchor_boxes" or len(anchors_px) != len(levels):
            raise InstrumentationError(
                f"{recognition.family}: expected anchors for a YOLOv5 only and one for each of its heads, "
                f"got {len(anchors_px)} for {len(levels)} heads"
            )
        pairs = zip(levels, anchors_px, strict=True)
        return tuple(msgspec.structs.replace(level, anchor_px=(float(w), float(h))) for level, (w, h) in pairs)
    if recognition.decoder == "anchor_boxes" and any(level.anchor_px is None for level in levels):
        raise InstrumentationError(
            f"{recognition.family}: the graph does not decode its boxes and its heads are not those of the published "
            "networks: specify the anchors (anchors_px)"
        )
    return levels


def _class_names(classes: Sequence[str] | None, model: Any, count: int) -> tuple[str, ...]:
    """The given names, else those that ultralytics' exporter wrote into the file, else COCO's if 80, else numbers."""
    if classes is not None:
        if len(classes) != count:
            raise InstrumentationError(f"expected {count} class names as the head has rows, got {len(classes)}")
        return tuple(classes)
    stored = {entry.key: entry.value for entry in model.metadata_props}.get("names", "")
    try:
        names = ast.literal_eval(stored)
    except (ValueError, SyntaxError):
        names = None
    if not isinstance(names, dict):
        return COCO_CLASSES if count == len(COCO_CLASSES) else tuple(str(number) for number in range(count))
    if set(names) != set(range(count)):
        raise InstrumentationError(
            f"the file contains names of {len(names)} classes, but its head has rows for {count}: "
            "it may be recognized as the wrong family; specify the decoder, or the names"
        )
    return tuple(str(names[number]) for number in range(count))
