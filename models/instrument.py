"""Adds outputs to any known ONNX detector or classifier: the inputs of its class head for the boxes that it finds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gradwatch import GradwatchError, MissingPackageError

from .manifest import InstrumentationError, Level, Manifest, NotInstrumentedError, Preprocessing, read_manifest
from .onnx_runtime import Device, ModelError, first_line, import_onnx, load_session

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

    with _naming(Path(model).name if isinstance(model, str | Path) else ""):
        return recognize_graph(Graph(model, input_size), decoder)


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
    all; at run time only these can be detected.
    preprocessing: of the file's input; default that of the family's authors, or that which the file's own arithmetic
    implies. anchors_px: (width, height) of each head of a YOLOv5 without decoded boxes whose anchors are not the
    published ones.
    Raises as `recognize` does, and for names, ids or anchors that do not match the heads.
    """
    import_onnx("instrumenting a model")
    from .instrumentation.recognition import Recognition

    recognition = model if isinstance(model, Recognition) else recognize(model, decoder, input_size=input_size)
    with _naming(recognition.graph.file):
        return _extend(recognition, keep, classes, ranked, preprocessing, anchors_px)


def _extend(
    recognition: Recognition,
    keep: int,
    classes: Sequence[str] | None,
    ranked: Sequence[int] | None,
    preprocessing: Preprocessing | None,
    anchors_px: Sequence[tuple[float, float]] | None,
) -> Any:
    from .instrumentation.names import class_names
    from .instrumentation.surgery import GraphExtension, add_classifier, add_level

    count, graph = recognition.class_count, recognition.graph
    chosen = tuple(range(count)) if ranked is None else tuple(sorted(set(ranked)))
    if keep < 1 or not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise InstrumentationError(
            f"expected to keep at least one location, ranked by classes of 0 to {count - 1}; got {keep} and {chosen}"
        )
    if classes is not None and len(classes) != count:
        raise InstrumentationError(f"expected {count} class names as the head has rows, got {len(classes)}")
    is_detector = recognition.decoder is not None
    manifest = Manifest(
        family=recognition.family,
        decoder=recognition.decoder,
        activation=recognition.matched.activation,
        classes=class_names(graph.model, count) if classes is None else tuple(classes),
        ranked=chosen if is_detector else (),
        objectness=recognition.matched.heads[0].objectness is not None,
        input_size=graph.input_size,
        levels=_with_anchors(recognition, anchors_px) if is_detector else (),
        preprocessing=_as_given(recognition, preprocessing) if preprocessing else recognition.preprocessing,
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
    try:
        # Only its metadata: to compute the constants of a foreign graph may take all memory.
        read_manifest(load_session(path, "cpu", optimized=False))
        return load_session(path, device, threads)
    except ModelError:
        pass  # what is wrong with it, instrumenting it says best
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


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Puts the file's name before an error, and makes one of whatever its content leads to."""
    where = f"{file}: " if file else ""
    try:
        yield
    except InstrumentationError as error:
        raise InstrumentationError(f"{where}{error}") from error
    except GradwatchError:
        raise
    except Exception as error:  # reading relies on rules of ONNX, which a damaged file can break in any way
        raise InstrumentationError(
            f"{where}expected a graph by the rules of ONNX, got {type(error).__name__}: {first_line(error)}"
        ) from error


def _as_given(recognition: Recognition, preprocessing: Preprocessing) -> Preprocessing:
    """The preprocessing that was given for the file's input, and then what the file did to it."""
    arithmetic = recognition.graph.arithmetic
    return arithmetic.after(preprocessing) if arithmetic else preprocessing


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
