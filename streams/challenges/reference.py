"""What all challenges refer to: CURE-TSD's pictures, and the settings that were published or fitted.

The settings are those that CURE-TSD published for Adobe After Effects (README of olivesgatech/CURE-TSD; Temel et al.,
"Traffic Sign Detection Under Challenging Conditions", IEEE T-ITS 2019). Where a setting has no meaning in numbers
outside of After Effects, it was fitted on the README's grid of one frame under twelve challenges and five levels, and
the constant says `fitted`. Sizes in pixels hold for CURE-TSD's pictures and scale with the width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, 3) RGB, or (H, W)
Map = NDArray[np.float32]  # (H, W)

REFERENCE_WIDTH_PX = 1628
