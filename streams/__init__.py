"""Frames come in, reports go out: wire format, Kafka transport, cameras, recordings, synthetic drives, challenges.

Imports neither `models` nor `monitor`, and needs no network runtime (torch, onnxruntime).
"""
