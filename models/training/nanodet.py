"""Makes `weights/nanodet_m.onnx` from the published NanoDet-m 416 graph; nothing is trained.

    python -m gradwatch.models.training.nanodet PATH/TO/nanodet_m.onnx

The published file lists its weights among the graph's inputs, as ONNX did before 2019, which keeps ONNX Runtime
from folding constants. They are taken off that list; weights, nodes and names stay as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

WEIGHTS = Path(__file__).resolve().parent.parent / "weights" / "nanodet_m.onnx"


def without_weight_inputs(model: Any) -> Any:
    """The ONNX model with only its picture among the graph's inputs; changes and returns `model`."""
    weights = {initializer.name for initializer in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise ValueError(f"expected one input beside the weights, got {[value.name for value in inputs]}")
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, change, check, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the published nanodet_m.onnx (416 px)")
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    options = parser.parse_args(arguments)
    model = without_weight_inputs(onnx.load(options.source))
    model.ir_version = max(model.ir_version, 4)  # the first version that allows weights that are no inputs
    onnx.checker.check_model(model)
    onnx.save(model, options.output)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
