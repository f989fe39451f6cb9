"""Frames come in, reports go out. Knows nothing of models; needs neither torch nor onnxruntime."""
