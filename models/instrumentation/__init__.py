"""How an ONNX graph is read, recognized and made to return more; needs the package onnx."""
