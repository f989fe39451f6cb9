"""Tensors in, numpy out: every network, and every gradient that needs one. Knows nothing of streams."""
