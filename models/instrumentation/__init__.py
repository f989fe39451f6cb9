"""Reads an ONNX graph, recognizes its class heads and adds outputs to it; needs the package onnx.

Imports `models.decoders` to verify boxes. `models.instrument` is its interface; nothing here runs while frames are
observed, and it must never know a stream.
"""
