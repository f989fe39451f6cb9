"""The manifest of an instrumented ONNX file: family, levels, classes, and how pictures become its input."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .onnx_runtime import ModelError
from .outputs import Activation

METADATA_KEY = "gradwatch.instrumented"
# Increased whenever the outputs or the meaning of a field change; files of other versions are refused.
VERSION = 1


class NotInstrumentedError(ModelError):
    """A graph without the outputs of `gradwatch instrument`, or with those of another version."""


class InstrumentationError(ModelError):
    """A file that cannot be instrumented; the message states what was expected and what was found."""


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From a picture 0..255 to a network's input: (pixel * scale - mean) / deviation for each channel.

    mean and deviation are in the order R, G, B, whatever the `channel_order` of the input's planes. fill: gray level
    beside a picture whose aspect ratio is kept; with `stretch` it is resized to the whole input instead.
    """

    channel_order: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fill: int = 114
    stretch: bool = False

    def __str__(self) -> str:
        mean, deviation = (", ".join(f"{x:.4g}" for x in each) for each in (self.mean, self.deviation))
        pixel = "pixel" if self.scale == 1 else f"pixel * {self.scale:.4g}"
        return f"{self.channel_order.upper()}, ({pixel} - ({mean})) / ({deviation})"

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
    """One class head and its locations: a grid of rows x columns, `stride_px` apart in the input.

    anchor_px: (width, height) of the anchor box of each location, where the family has one. A head on queries has
    `rows` of them, one column and stride 0.
    """

    rows: int
    columns: int
    stride_px: float
    anchor_px: tuple[float, float] | None = None

    @property
    def locations(self) -> int:
        """Number of locations."""
        return self.rows * self.columns

    def __str__(self) -> str:
        anchor = f", anchor {self.anchor_px[0]:g}x{self.anchor_px[1]:g} px" if self.anchor_px else ""
        stride = f", stride {self.stride_px:g} px" if self.stride_px else ""
        return f"{self.rows}x{self.columns} locations{stride}{anchor}"


class _Versioned(msgspec.Struct):
    version: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON under `METADATA_KEY` of an instrumented file; a classifier has no levels.

    ranked: the classes by whose best score the returned locations are chosen. objectness: whether a score is the
    class's probability times that of any object. input_size: (width, height) px.
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


def read_manifest(session: Any) -> Manifest:
    """The manifest in the metadata of an ONNX Runtime session. Raises NotInstrumentedError."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        outputs = ", ".join(output.name for output in session.get_outputs())
        raise NotInstrumentedError(
            f"expected an instrumented graph, got one that only returns {outputs}: "
            "gradwatch instrument MODEL.onnx --out FILE"
        )
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version == VERSION:
            return msgspec.json.decode(text, type=Manifest)
        found = f"version {version}"
    except msgspec.MsgspecError as error:
        found = str(error)
    raise NotInstrumentedError(
        f"expected a graph instrumented as version {VERSION}, got {found}: instrument the original again"
    )
