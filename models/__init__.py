"""Networks and the gradients of their heads: tensors in, numpy arrays out.

The only package that imports torch, onnx and onnxruntime. It imports neither `streams` nor `monitor`, but for the
scripts in `training/`, which draw synthetic drives to train on. It must never know which stream a picture comes from,
or what was found in the picture before.
"""
