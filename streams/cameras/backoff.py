"""How long to wait before the next attempt to connect: exponential back-off with full jitter.

Full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015): the pause is uniform up to the bound, so that cameras
lost together, with their switch, don't reconnect together.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ..wire.messages import Disturbance

FIRST_S, LONGEST_S = 1.0, 30.0
STEADY_S = 5.0  # a connection that lasted this long resets the back-off; one that drops at once does not


@dataclass(slots=True)
class Backoff:
    """Bounds of 1, 2, 4 … 30 s; after refused credentials always the longest pause.

    Many cameras lock an account for half an hour after five wrong passwords.
    """

    random: random.Random = field(default_factory=random.Random)
    first_s: float = FIRST_S
    longest_s: float = LONGEST_S
    failures: int = 0  # in a row

    def pause_s(self, disturbance: Disturbance, connected_s: float) -> float:
        """The pause after a failure; `connected_s` is how long the connection had lasted, 0 for none."""
        if connected_s >= STEADY_S:
            self.failures = 0
        bound_s = min(self.longest_s, self.first_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return self.longest_s if disturbance is Disturbance.UNAUTHORIZED else self.random.uniform(0.0, bound_s)
