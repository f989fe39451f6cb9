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

from ..manifest import InstrumentationError
from .execution import run_graph
from .input_arithmetic import is_planes_last, take_out_arithmetic
from .model_file import read_model
from .nodes import inputs_of

OLDEST_OPSET = 11  # that has all nodes which instrumentation adds
MAX_PIXELS = 2**24  # of the input
MAX_NODES = 100_000
PIXELS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8)  # types of the input
FOLDED = {"Constant", "Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze"}


class Graph:
    """An ONNX model with one picture of known size as its input.

    file: its name, "" without one. model: a copy whose inputs are the picture alone, of fixed size and as the first
    layer gets it. input_size: (width, height) px; arithmetic: what the file itself did to its input, taken out of the
    copy; producer: tensor -> the node that outputs it; varying: tensors that depend on the picture; opset: version of
    ONNX's own operators.
    Raises InstrumentationError for any other model.
    """

    def __init__(self, source: Any, input_size: tuple[int, int] | None = None) -> None:
        self.file = "" if isinstance(source, onnx.ModelProto) else Path(source).name
        self.model = read_model(source)
        graph = self.model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.opset = max((e.version for e in self.model.opset_import if e.domain in ("", "ai.onnx")), default=0)
        if self.opset < OLDEST_OPSET:
            raise InstrumentationError(
                f"expected opset {OLDEST_OPSET} or newer, got {self.opset}: export the model again with a newer opset"
            )
        if len(graph.node) > MAX_NODES:
            raise InstrumentationError(f"expected at most {MAX_NODES} nodes, got {len(graph.node)}")
        pictures = [value for value in graph.input if value.name not in self.initializers]
        if len(pictures) != 1:
            raise InstrumentationError(
                f"expected one input besides the weights, got {len(pictures)}: "
                f"{', '.join(value.name for value in pictures)}: export the network without what takes the others"
            )
        del graph.input[:]
        graph.input.extend(pictures)
        self.input = graph.input[0]
        self.input_size = _fix_size(self.input, input_size)
        self.arithmetic = take_out_arithmetic(self.model, self.input_size)
        if self.input.type.tensor_type.elem_type == onnx.TensorProto.UINT8 or is_planes_last(self.input):
            raise InstrumentationError(
                f"expected an input (1, 3, H, W) of floats, or a Cast or Transpose to one before the first layer, got "
                f"{self.input.name} {'(1, H, W, 3), NHWC' if is_planes_last(self.input) else 'UINT8'}"
            )
        self.outputs = [value.name for value in graph.output]
        self.producer = {name: node for node in graph.node for name in node.output}
        self.varying = {self.input.name}
        self._constants: dict[str, NDArray[Any] | None] = {}
        for node in graph.node:
            if not self.varying.isdisjoint(inputs_of(node)):
                self.varying.update(node.output)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a weight, also behind casts and changes of shape; None for a tensor that is computed."""
        if name not in self._constants:
            self._constants[name] = self._constant(name)
        return self._constants[name]

    def _constant(self, name: str) -> NDArray[Any] | None:
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
        watched = onnx.ModelProto()
        watched.CopyFrom(self.model)
        computed = [name for name in dict.fromkeys(names) if name in self.producer]
        del watched.graph.output[:]
        watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in computed)
        picture = np.random.default_rng(0).random((1, 3, *self.input_size[::-1]), np.float32)
        dtype = helper.tensor_dtype_to_np_dtype(self.input.type.tensor_type.elem_type)
        return run_graph(watched, computed, {self.input.name: picture.astype(dtype)})


def _fix_size(value: Any, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """Fixes the batch and the sides of the input; returns (width, height) px."""
    tensor = value.type.tensor_type
    shape = [side.dim_value if side.HasField("dim_value") and side.dim_value > 0 else 0 for side in tensor.shape.dim]
    if len(shape) != 4 or (shape[1] not in (0, 3) and shape[3] != 3) or tensor.elem_type not in PIXELS:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise InstrumentationError(
            f"expected an input (1, 3, H, W) or (1, H, W, 3) of floats or bytes, got {value.name} {shape} {kind}"
        )
    planes_last = is_planes_last(value)
    height, width = shape[1:3] if planes_last else shape[2:]
    if wanted is not None:
        if (height, width) not in ((0, 0), wanted[::-1]) and 0 not in (height, width):
            raise InstrumentationError(f"input {value.name}: the file fixes {width}x{height} px, asked for {wanted}")
        width, height = wanted
    if not width or not height:
        raise InstrumentationError(
            f"input {value.name}: expected fixed sides, got a free height or width: specify the size (--size 640x640)"
        )
    if width * height > MAX_PIXELS:
        raise InstrumentationError(f"input {value.name}: expected at most {MAX_PIXELS} pixels, got {width}x{height}")
    if shape[0] > 1:
        raise InstrumentationError(
            f"input {value.name}: expected a batch of one or a free one, got {shape[0]}: export it with batch 1"
        )
    sides = (1, height, width, 3) if planes_last else (1, 3, height, width)
    for side, size in zip(tensor.shape.dim, sides, strict=True):
        side.dim_value = size
    return width, height
