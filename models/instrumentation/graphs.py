"""Reads an ONNX graph: which node makes a tensor, which tensors are constant, and their values in one run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gradwatch import MissingFileError

from ..manifest import METADATA_KEY, InstrumentationError
from ..onnx_runtime import import_runtime

OLDEST_OPSET = 11  # that has all nodes which instrumentation adds
FOLDED = {"Constant", "Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze"}


class Graph:
    """An ONNX model with one picture of known size as its input.

    model: a copy whose inputs are the picture alone, of fixed size. input_size: (width, height) px; producer: tensor
    -> the node that outputs it; varying: tensors that depend on the picture; opset: version of ONNX's own operators.
    Raises InstrumentationError for any other model.
    """

    def __init__(self, source: Any, input_size: tuple[int, int] | None = None) -> None:
        self.model = _copy_model(source)
        graph = self.model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.opset = max((e.version for e in self.model.opset_import if e.domain in ("", "ai.onnx")), default=0)
        if self.opset < OLDEST_OPSET:
            raise InstrumentationError(
                f"expected opset {OLDEST_OPSET} or newer, got {self.opset}: export the model again with a newer opset"
            )
        pictures = [value for value in graph.input if value.name not in self.initializers]
        if len(pictures) != 1:
            raise InstrumentationError(
                f"expected one input besides the weights, got {len(pictures)}: {[value.name for value in pictures]}"
            )
        del graph.input[:]
        graph.input.extend(pictures)
        self.input = graph.input[0]
        self.input_size = _fix_size(self.input, input_size)
        self.outputs = [value.name for value in graph.output]
        self.producer = {name: node for node in graph.node for name in node.output}
        self.varying = {self.input.name}
        for node in graph.node:
            if not self.varying.isdisjoint(node.input):
                self.varying.update(node.output)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a weight, also behind casts and changes of shape; None for a tensor that is computed."""
        if name in self.initializers:
            array: NDArray[Any] = numpy_helper.to_array(self.initializers[name])
            return array
        node = self.producer.get(name)
        if node is None or name in self.varying:
            return None
        inputs = {each: self.constant(each) for each in node.input if each}
        if node.op_type not in FOLDED or any(value is None for value in inputs.values()):
            return None
        results: Any = ReferenceEvaluator(node, opsets={"": self.opset}).run(None, inputs)
        return np.asarray(results[0])

    def run(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """The values of computed tensors in one run over a picture of seeded noise; other names are left out."""
        runtime = import_runtime()
        watched = onnx.ModelProto()
        watched.CopyFrom(self.model)
        computed = [name for name in dict.fromkeys(names) if name in self.producer]
        del watched.graph.output[:]
        watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in computed)
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = runtime.InferenceSession(watched.SerializeToString(), options, ["CPUExecutionProvider"])
            picture = np.random.default_rng(0).random((1, 3, *self.input_size[::-1]))
            dtype = helper.tensor_dtype_to_np_dtype(self.input.type.tensor_type.elem_type)
            values = session.run(computed, {self.input.name: picture.astype(dtype)})
        except Exception as error:  # ONNX Runtime's own errors have no parent but Exception
            raise InstrumentationError(f"ONNX Runtime cannot run this graph: {str(error).splitlines()[0]}") from error
        return dict(zip(computed, values, strict=True))


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node by name; those left at their default are absent."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _copy_model(source: Any) -> Any:
    """A model that may be changed, from a path or from a model."""
    model = onnx.ModelProto()
    if isinstance(source, onnx.ModelProto):
        model.CopyFrom(source)
    else:
        path = Path(source)
        if not path.is_file():
            raise MissingFileError(f"no ONNX graph at {path}")
        try:
            model = onnx.load(path)
        except Exception as error:  # protobuf's and onnx's errors have no parent of their own
            raise InstrumentationError(f"expected an ONNX file, but {path.name} cannot be read as one") from error
    if not model.graph.node or not model.opset_import:
        raise InstrumentationError("expected an ONNX graph with nodes, got a file without any")
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise InstrumentationError("expected a file as its exporter wrote it, got one that is instrumented already")
    # The first version that allows weights that are not inputs.
    model.ir_version = max(model.ir_version, 4)
    return model


def _fix_size(value: Any, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """Fixes the batch and the sides of the input; returns (width, height) px."""
    tensor = value.type.tensor_type
    shape = [side.dim_value if side.HasField("dim_value") and side.dim_value > 0 else 0 for side in tensor.shape.dim]
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    if len(shape) != 4 or shape[1] not in (0, 3) or tensor.elem_type not in floats:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise InstrumentationError(f"expected an input (1, 3, H, W) of floats, got {value.name} {shape} {kind}")
    height, width = shape[2:]
    if wanted is not None:
        if (height, width) not in ((0, 0), wanted[::-1]) and 0 not in (height, width):
            raise InstrumentationError(f"input {value.name}: the file fixes {width}x{height} px, asked for {wanted}")
        width, height = wanted
    if not width or not height:
        raise InstrumentationError(
            f"input {value.name}: expected fixed sides, got a free height or width: specify the size (--size)"
        )
    if shape[0] > 1:
        raise InstrumentationError(f"input {value.name}: expected a batch of one or a free one, got {shape[0]}")
    for side, size in zip(tensor.shape.dim, (1, 3, height, width), strict=True):
        side.dim_value = size
    return width, height
