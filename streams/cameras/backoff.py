"""How long to wait before the next attempt: exponential back-off with full jitter.

Full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015): any time up to the bound is as likely, so cameras
that were lost together, with their switch, don't come back together.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ..wire.messages import Disturbance

FIRST_S, LONGEST_S = 1.0, 30.0
STEADY_S = 5.0  # a connection that held so long ends the back-off; one that drops at once must not be made for ever


@dataclass(slots=True)
class Backoff:
    """Bounds of 1, 2, 4 … 30 s; refused credentials wait for the longest at once.

    Many cameras lock an account after five wrong passwords, for half an hour.
    """

    random: random.Random = field(default_factory=random.Random)
    first_s: float = FIRST_S
    longest_s: float = LONGEST_S
    attempts: int = 0  # that failed, in a row

    def pause_s(self, disturbance: Disturbance, connected_s: float) -> float:
        """How long to wait after a failure; `connected_s` is how long the connection had held, 0 for none."""
        if connected_s >= STEADY_S:
            self.attempts = 0
        bound_s = min(self.longest_s, self.first_s * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return self.longest_s if disturbance is Disturbance.UNAUTHORIZED else self.random.uniform(0.0, bound_s)
