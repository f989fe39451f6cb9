"""What a graph does to its input before its first layer, taken out of the graph and into the preprocessing.

Exporters put the normalization of pictures into the file: `x / 255`, `(x - mean) / deviation`, a change of type, of
the order of the axes or of the channels. Such a graph would be given pictures that are normalized already. All of this
is one scale and one shift of each channel, which is measured on pictures of one color and compared on noise; then the
graph is cut behind it. Any other arithmetic is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from ..manifest import InstrumentationError, Preprocessing
from .execution import run_graph
from .nodes import inputs_of, prune

AFFINE = {"Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization"}
MOVING = {"Cast", "Concat", "Dropout", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
          "Unsqueeze"}  # fmt: skip
OTHER = {"Abs", "Ceil", "Clip", "Exp", "Floor", "LpNormalization", "Log", "Max", "MeanVarianceNormalization", "Min",
         "Mod", "Pow", "Round", "Sigmoid", "Sqrt", "Sum", "Tanh"}  # fmt: skip
MAX_NODES = 100
PROBE = 255.0
TOLERANCE = 0.01  # of the range of a channel: float16 has 11 bits
NORMAL = (0.5, 16.0)  # how wide a normalized channel may be, from black to white
DARKEST_MEAN = 1.5  # a mean above it is that of pixels 0 to 255


@dataclass(frozen=True, slots=True)
class InputArithmetic:
    """Plane c of the first layer's input is scale[c] times a plane of the file's input, plus shift[c].

    reversed: whether the planes are taken in reverse order, from RGB to BGR or back. integers: whether the file's
    input is pixels 0 to 255 for certain.
    """

    scale: tuple[float, float, float]
    shift: tuple[float, float, float]
    reversed: bool
    integers: bool

    @property
    def is_identity(self) -> bool:
        """Whether the first layer gets the values of the file's input."""
        return np.allclose(self.scale, 1, rtol=1e-3) and np.allclose(self.shift, 0, atol=1e-3) and not self.integers

    def after(self, outer: Preprocessing) -> Preprocessing:
        """From a picture to the first layer's input, where `outer` makes the file's input."""
        is_rgb = (outer.channel_order == "rgb") != self.reversed
        scale, shift = (np.array(each)[:: 1 if is_rgb else -1] for each in (self.scale, self.shift))
        mean = np.array(outer.mean) - shift * np.array(outer.deviation) / scale
        red, green, blue = (float(x) for x in mean)
        deviation_red, deviation_green, deviation_blue = (float(x) for x in np.array(outer.deviation) / scale)
        return msgspec.structs.replace(
            outer,
            channel_order="rgb" if is_rgb else "bgr",
            mean=(red, green, blue),
            deviation=(deviation_red, deviation_green, deviation_blue),
        )

    def preprocessing(self, family: Preprocessing) -> Preprocessing:
        """From a picture to the first layer's input, where `family` is what the authors of such networks feed it.

        The file's input is pixels 0 to 255 or 0 to 1, whichever makes its arithmetic a normalization.
        """
        order = {"rgb": "bgr", "bgr": "rgb"}[family.channel_order] if self.reversed else family.channel_order
        if self.is_identity:
            return self.after(msgspec.structs.replace(family, channel_order=order))
        pixels, fractions = (
            Preprocessing(channel_order=order, scale=scale, fill=family.fill, stretch=family.stretch)  # type: ignore[arg-type]
            for scale in (1.0, 1 / 255)
        )
        for outer in (pixels, fractions):
            if _is_equal(self.after(outer), family):
                return family  # without the rounding of the measurement
        mean = -np.array(self.shift) / self.scale
        width = np.array(self.scale)
        if self.integers or (DARKEST_MEAN < mean.max() <= PROBE) or _is_normal(width * PROBE):
            return self.after(pixels)
        if _is_normal(width):
            return self.after(fractions)
        raise InstrumentationError(
            "expected arithmetic on the input that normalizes pixels of 0 to 255 or of 0 to 1, got "
            f"x * {_shown(self.scale)} + {_shown(self.shift)}: export the model without it"
        )


def take_out_arithmetic(model: Any, size: tuple[int, int]) -> InputArithmetic | None:
    """Cuts a model behind the arithmetic on its input, which then is (1, 3, H, W) floats; None where there is none.

    size: (width, height) px of the input. Raises InstrumentationError for arithmetic that is more than a scale and a
    shift of each channel.
    """
    graph = model.graph
    nodes = _nodes_at_input(graph)
    if not nodes:
        _refuse_other(graph, {graph.input[0].name})
        return None
    part = _Part(model, nodes)
    noise = np.random.default_rng(0).integers(0, 256, (1, 3, *size[::-1]), np.uint8).astype(np.float32)
    values = part.run([name for node in nodes for name in node.output if name], noise)
    shape = (1, 3, *size[::-1])
    fits = [name for name in values if values[name].shape == shape and values[name].dtype.kind == "f"]
    ends = [
        name
        for name in fits
        if _is_cut(graph, nodes, name, set() if part.planes_last else {graph.input[0].name, *fits})
    ]
    behind = {graph.input[0].name, *values} - {name for end in ends[-1:] for name in _made_before(graph, nodes, end)}
    _refuse_other(graph, behind | set(ends[-1:]))
    if not ends:
        return None
    end = ends[-1]
    found = _measure(part, end, noise, values[end])
    _cut(graph, nodes, end, values[end])
    return found


class _Part:
    """The nodes of a model at its input, and those of its constants, as a model of their own."""

    def __init__(self, model: Any, nodes: list[Any]) -> None:
        value = model.graph.input[0]
        names = {name for node in nodes for name in node.output}
        varying = _varying(model.graph)
        kept = [n for n in model.graph.node if varying.isdisjoint(n.output) or not names.isdisjoint(n.output)]
        outputs = [onnx.ValueInfoProto(name=name) for name in sorted(names)]
        graph = helper.make_graph(kept, "input", [value], outputs, list(model.graph.initializer))
        prune(graph)
        self._model = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
        self._dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        self.planes_last = is_planes_last(value)
        self.integers = self._dtype.kind != "f"
        self._name = value.name

    def run(self, names: list[str], planes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The values of tensors for an input (1, 3, H, W)."""
        del self._model.graph.output[:]
        self._model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        planes = planes.transpose(0, 2, 3, 1) if self.planes_last else planes
        return run_graph(self._model, names, {self._name: np.ascontiguousarray(planes, self._dtype)})


def is_planes_last(value: Any) -> bool:
    """Whether an input is (1, H, W, 3), not (1, 3, H, W)."""
    sides = [side.dim_value for side in value.type.tensor_type.shape.dim]
    return len(sides) == 4 and sides[3] == 3 and sides[1] != 3


def _measure(part: _Part, end: str, noise: NDArray[Any], at_noise: NDArray[Any]) -> InputArithmetic:
    black = np.zeros_like(noise)
    shift_plane = part.run([end], black)[end].astype(np.float64)
    shift, weight = shift_plane[0, :, 0, 0], np.zeros((3, 3))
    for channel in range(3):
        color = black.copy()
        color[:, channel] = PROBE
        weight[:, channel] = (part.run([end], color)[end].astype(np.float64) - shift_plane)[0, :, 0, 0] / PROBE
    source = np.abs(weight).argmax(1)
    scale = weight[np.arange(3), source]
    expected = noise[:, source] * scale[:, None, None] + shift[:, None, None]
    close = np.abs(at_noise - expected) <= TOLERANCE * PROBE * np.abs(scale).max()
    if not close.all() or not (scale > 0).all() or tuple(source) not in ((0, 1, 2), (2, 1, 0)):
        raise InstrumentationError(
            "expected at most a scale above 0 and a shift of each channel between the input and the first layer, "
            f"got other arithmetic up to {end}: export the model without it"
        )
    scales, shifts = (tuple(float(x) for x in each) for each in (scale, shift))
    return InputArithmetic(scales, shifts, tuple(source) == (2, 1, 0), part.integers)  # type: ignore[arg-type]


def _cut(graph: Any, nodes: list[Any], end: str, values: NDArray[Any]) -> None:
    made = _made_before(graph, nodes, end) | {end}
    kept = [node for node in graph.node if made.isdisjoint(node.output)]
    for node in kept:
        if node.op_type == "Shape" and node.input[0] in made:
            node.input[0] = end  # whose shape is the same
    del graph.node[:]
    graph.node.extend(kept)
    known = [value for value in graph.value_info if value.name not in made]
    del graph.value_info[:]
    graph.value_info.extend(known)
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    graph.input[0].CopyFrom(helper.make_tensor_value_info(end, kind, values.shape))


def _nodes_at_input(graph: Any) -> list[Any]:
    """The nodes that depend on the input by arithmetic and movement only, in order."""
    varying, inside = {graph.input[0].name}, {graph.input[0].name}
    nodes = []
    for node in graph.node:
        fed = {name for name in inputs_of(node) if name in varying}
        varying.update(node.output if fed else ())
        if fed and fed <= inside and node.op_type in AFFINE | MOVING and not node.domain:
            nodes.append(node)
            inside.update(node.output)
    if len(nodes) > MAX_NODES:
        raise InstrumentationError(f"expected at most {MAX_NODES} nodes before the first layer, got {len(nodes)}")
    return nodes


def _varying(graph: Any) -> set[str]:
    varying = {graph.input[0].name}
    for node in graph.node:
        if not varying.isdisjoint(inputs_of(node)):
            varying.update(node.output)
    return varying


def _made_before(graph: Any, nodes: list[Any], end: str) -> set[str]:
    """The input, and all tensors between it and `end`, which is not among them."""
    made, needed = {graph.input[0].name}, {end}
    for node in reversed(nodes):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            made.update(node.output)
    return made - {end}


def _is_cut(graph: Any, nodes: list[Any], end: str, alike: set[str]) -> bool:
    """Whether all that depends on the input depends on it through `end`, or on the shape of a tensor of its shape."""
    before = _made_before(graph, nodes, end)
    outside = [node for node in graph.node if end not in node.output and before.isdisjoint(node.output)]
    read = {name for node in outside for name in inputs_of(node) if node.op_type != "Shape" or name not in alike}
    return before.isdisjoint(read | {value.name for value in graph.output})


def _refuse_other(graph: Any, tensors: set[str]) -> None:
    for node in graph.node:
        if node.op_type in AFFINE | OTHER and not tensors.isdisjoint(node.input):
            raise InstrumentationError(
                "expected at most a scale and a shift of each channel between the input and the first layer, "
                f"got {node.op_type} {node.name or node.output[0]}: export the model without it"
            )


def _is_equal(one: Preprocessing, other: Preprocessing) -> bool:
    def ends(each: Preprocessing) -> NDArray[Any]:
        mean, deviation = np.array(each.mean), np.array(each.deviation)
        return np.array([-mean / deviation, (255 * each.scale - mean) / deviation])

    return one.channel_order == other.channel_order and np.allclose(ends(one), ends(other), rtol=0.01, atol=0.01)


def _is_normal(width: NDArray[Any]) -> bool:
    return bool((width >= NORMAL[0]).all() and (width <= NORMAL[1]).all())


def _shown(numbers: tuple[float, float, float]) -> str:
    return "(" + ", ".join(f"{number:.3g}" for number in numbers) + ")"
