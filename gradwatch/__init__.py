"""gradwatch: gradients at inference as a monitor for networks that look at the road."""

__version__ = "0.1.0"
