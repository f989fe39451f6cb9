"""A picture of a recording, before it is played."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..wire.pixels import decode_picture


@dataclass(frozen=True, slots=True)
class Still:
    """A picture of a recording, encoded or as (H, W, 3) uint8 RGB, and its time on the recording's timeline."""

    time_ns: int
    content: bytes | None = None
    image: NDArray[np.uint8] | None = None
    clock: Literal["utc", "media"] = "media"

    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        return decode_picture(self.content or b"") if self.image is None else self.image

    def size_bytes(self) -> int:
        """Memory that the picture takes."""
        return len(self.content or b"") if self.image is None else self.image.nbytes
