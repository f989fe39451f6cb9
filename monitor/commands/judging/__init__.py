"""Verbs about judging frames: run the worker, calibrate a stream, prepare a network."""
