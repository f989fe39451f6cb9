"""What an instrumented ONNX file says of itself: family, levels, classes and how pictures become its input."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gradwatch import GradwatchError

from .outputs import Activation, Floats

METADATA_KEY = "gradwatch.instrumented"
# Raised whenever the outputs or the meaning of a field change; a file of another version is refused.
VERSION = 1


class NotInstrumentedError(GradwatchError, ValueError):
    """A graph without what `gradwatch instrument` adds, or with that of another version."""


class InstrumentationError(GradwatchError, ValueError):
    """A file that can't be instrumented; the message says what was expected and what was found."""


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From a picture 0..255 to a network's input: (pixel * scale - mean) / deviation for each channel.

    mean and deviation stand in the order R, G, B, whatever `channel_order` says of the input's planes. fill: the
    gray beside a picture that keeps its ratio; with `stretch` it is resized to the whole input instead.
    """

    channel_order: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fill: int = 114
    stretch: bool = False

    def __call__(self, canvas: NDArray[np.uint8], dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
        """A canvas (H, W, 3) uint8 RGB as the input (1, 3, H, W)."""
        blob = np.empty((1, 3, *canvas.shape[:2]), dtype)
        for channel in range(3):
            plane = blob[0, channel if self.channel_order == "rgb" else 2 - channel]
            deviation = self.deviation[channel]
            np.multiply(canvas[:, :, channel], np.float32(self.scale / deviation), out=plane, casting="same_kind")
            if self.mean[channel]:
                plane -= self.mean[channel] / deviation
        return blob


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One class head and the places it looks at: a grid of rows x columns, `stride_px` apart in the input.

    anchor_px: (width, height) of the box that a place starts from, where the family has one. A head on queries has
    `rows` of them, one column and stride 0.
    """

    rows: int
    columns: int
    stride_px: float
    anchor_px: tuple[float, float] | None = None

    @property
    def places(self) -> int:
        """How many places the head looks at."""
        return self.rows * self.columns

    def __str__(self) -> str:
        anchor = f", anchor {self.anchor_px[0]:g}x{self.anchor_px[1]:g} px" if self.anchor_px else ""
        stride = f", stride {self.stride_px:g} px" if self.stride_px else ""
        return f"{self.rows}x{self.columns} places{stride}{anchor}"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON under `METADATA_KEY` of an instrumented file; a classifier has no levels.

    ranked: the classes by whose best score the file chooses the places that it keeps. objectness: whether a score
    is the class's probability times that of any object being there. input_size: (width, height) px.
    """

    version: int = VERSION
    family: str
    decoder: str | None
    activation: Activation
    classes: tuple[str, ...]
    ranked: tuple[int, ...] = ()
    objectness: bool = False
    input_size: tuple[int, int]
    levels: tuple[Level, ...] = ()
    preprocessing: Preprocessing

    @property
    def strides_px(self) -> tuple[float, ...]:
        """The stride of each level."""
        return tuple(level.stride_px for level in self.levels)


def read_manifest(session: Any) -> Manifest:
    """What the graph of an ONNX Runtime session says of itself. Raises NotInstrumentedError."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        outputs = ", ".join(output.name for output in session.get_outputs())
        raise NotInstrumentedError(
            f"expected an instrumented graph, got one that only returns {outputs}: "
            "gradwatch instrument MODEL.onnx --out FILE"
        )
    version = msgspec.json.decode(text).get("version")
    if version != VERSION:
        raise NotInstrumentedError(
            f"expected a graph instrumented as version {VERSION}, got version {version}: instrument the original again"
        )
    return msgspec.json.decode(text, type=Manifest)


def read_constants(session: Any, names: list[str]) -> list[Floats]:
    """Outputs that are constants of the graph: one empty-handed run reads them without the package onnx."""
    feed = session.get_inputs()[0]
    dtype = np.float16 if feed.type == "tensor(float16)" else np.float32
    shape = [size if isinstance(size, int) else 1 for size in feed.shape]
    constants: list[Floats] = session.run(names, {feed.name: np.zeros(shape, dtype)})
    return constants
