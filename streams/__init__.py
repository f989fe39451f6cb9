"""Frames come in, reports go out: Kafka topics, cameras, recordings, challenges and synthetic drives.

Imports no other package of gradwatch. Knows nothing of networks, scores or judges; needs neither torch nor onnxruntime.
"""
