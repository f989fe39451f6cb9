"""Reads an ONNX file and the files beside it that hold its weights, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import onnx

from gradwatch import MissingFileError

from ..manifest import METADATA_KEY, InstrumentationError

MAX_BYTES = 2**31 - 1  # the limit of protobuf, in which the result is written
NO_ONNX = {
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself by git lfs pull",
    b"PK\x03\x04": "a zip archive, as PyTorch's checkpoints (.pt) are: export the model to ONNX",
    b"\x89HDF": "an HDF5 file, as Keras' models (.h5) are: export the model to ONNX",
    b"<?xml": "an XML file, as OpenVINO's models are: use the ONNX file that it was made from",
}


def read_model(source: Any) -> Any:
    """A model that may be changed, with all its weights, from a path or from a model.

    Raises MissingFileError, and InstrumentationError for what is no ONNX graph as its exporter wrote it.
    """
    model = onnx.ModelProto()
    if isinstance(source, onnx.ModelProto):
        model.CopyFrom(source)
    else:
        _parse(model, Path(source))
        _load_external(model, Path(source))
    if not model.graph.node or not model.opset_import:
        raise InstrumentationError("expected an ONNX graph with nodes, got a file without any")
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise InstrumentationError(
            "expected a file as its exporter wrote it, got one that is instrumented already: use the original"
        )
    # The first version that allows weights that are not inputs.
    model.ir_version = max(model.ir_version, 4)
    return model


def _parse(model: Any, path: Path) -> None:
    if not path.is_file():
        raise MissingFileError(f"no ONNX graph at {path}")
    if path.stat().st_size > MAX_BYTES:
        raise InstrumentationError(f"expected an ONNX file of at most {MAX_BYTES} bytes, got {path.stat().st_size}")
    content = path.read_bytes()
    for start, what in NO_ONNX.items():
        if content.startswith(start):
            raise InstrumentationError(f"expected an ONNX file, got {what}")
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's errors have no parent of their own
        raise InstrumentationError("expected an ONNX file, but it cannot be read as one") from error


def _load_external(model: Any, path: Path) -> None:
    """Reads the weights that the exporter left in files beside the model."""
    left = MAX_BYTES - path.stat().st_size
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}
        file, offset = _external_file(path, where.get("location", "")), int(where.get("offset", 0))
        length = int(where.get("length", file.stat().st_size - offset))
        if not 0 <= offset <= offset + length <= file.stat().st_size:
            raise InstrumentationError(
                f"weight {tensor.name}: expected {length} bytes from byte {offset} of {file.name}, "
                f"got a file of {file.stat().st_size}: is it that of another export?"
            )
        left -= length
        if left < 0:
            raise InstrumentationError(f"expected at most {MAX_BYTES} bytes of weights, got more in {file.name}")
        with file.open("rb") as content:
            content.seek(offset)
            tensor.raw_data = content.read(length)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _external_file(path: Path, location: str) -> Path:
    """The file of weights beside the model, or beside the file that the model is a link to."""
    relative = PurePosixPath(location)
    if not relative.parts or relative.is_absolute() or ".." in relative.parts:
        raise InstrumentationError(f"expected its weights in a file beside it, got the location {location!r}")
    for folder in (path.parent, path.resolve().parent):
        if (folder / relative).is_file():
            return folder / relative
    raise InstrumentationError(
        f"its weights are in a file of their own (external data): expected {location} beside it, found none: "
        "copy both files, under their own names"
    )


def _tensors(graph: Any) -> Iterator[Any]:
    """All weights of a graph, those in the attributes and the subgraphs of its nodes too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
