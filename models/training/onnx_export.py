"""Writes trained networks as ONNX files fit to be shipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn


def write_onnx(
    network: nn.Module, example: Tensor, path: Path, *, input_name: str, outputs: Sequence[str], free_batch: bool
) -> None:
    """Writes the network in evaluation mode, batch normalization folded into convolutions.

    example: an input, which fixes all axes but, with `free_batch`, the first.
    """
    program = torch.onnx.export(
        network.eval(),
        (example,),
        input_names=[input_name],
        output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},) if free_batch else None,
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing; expected a program of its dynamo exporter")
    model = program.model_proto
    # The exporter records source paths and stack traces of the machine it runs on; they would be shipped.
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        del part.metadata_props[:]
    del model.graph.value_info[:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
