"""Opens ONNX graphs in ONNX Runtime, on the device that was asked for and on no other."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gradwatch import GradwatchError, MissingFileError, MissingPackageError

Device = Literal["auto", "cpu", "cuda"]
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class DeviceError(GradwatchError):
    """The session did not get the device that was asked for."""


class ModelError(GradwatchError, ValueError):
    """An ONNX file that does not fit its purpose; the message states what was expected and what was found."""


def load_session(path: Path, device: Device = "auto", threads: int = 1, *, optimized: bool = True) -> Any:
    """An `onnxruntime.InferenceSession` of the graph at `path`.

    device: `cuda` requires a GPU, `cpu` never tries one, `auto` uses one if ONNX Runtime has one that works.
    threads: threads within one operator, 0 = ONNX Runtime's choice; operators run one after the other. optimized:
    whether the graph is simplified first, for which ONNX Runtime computes all of its constants.
    Raises MissingFileError, DeviceError when CUDA was asked for and not obtained (ONNX Runtime itself falls
    back to the CPU without an error), ModelError for a file that it can't open, MissingPackageError without ONNX
    Runtime, ValueError for another device.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: expected auto, cpu or cuda, got {device!r}")
    if not path.is_file():
        raise MissingFileError(f"no ONNX graph at {path}")
    runtime = import_runtime()
    available = runtime.get_available_providers()
    if device == "cuda" and CUDA not in available:
        raise DeviceError(
            f"device cuda was asked for, but this ONNX Runtime has only {', '.join(available)}: "
            "pip uninstall onnxruntime && pip install 'gradwatch[gpu]'"
        )
    wants_cuda = device != "cpu" and CUDA in available
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Threads that spin while they wait would take the cores from decoding and judging.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = runtime.InferenceSession(str(path), options, providers=[CUDA, CPU] if wants_cuda else [CPU])
    except Exception as error:  # ONNX Runtime's own errors have no parent but Exception
        raise ModelError(f"{path.name}: ONNX Runtime cannot open this graph: {first_line(error)}") from error
    if device == "cuda" and CUDA not in session.get_providers():
        raise DeviceError(
            f"device cuda was asked for, but {path.name} was opened on {session.get_providers()}: "
            "CUDA or cuDNN could not be loaded"
        )
    return session


def input_type(session: Any) -> type[Any]:
    """The type of a session's first input: uint8, float16 or float32. Raises ModelError for another one."""
    types = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16, "tensor(float)": np.float32}
    found = session.get_inputs()[0].type
    if found not in types:
        raise ModelError(f"expected an input of {', '.join(types)}, got {found}")
    return types[found]


def run_on_zeros(session: Any, names: list[str] | None = None) -> list[Any]:
    """Outputs of one run with free axes of 1: reads constants of a graph without the package onnx.

    Raises ModelError for a graph without these outputs, or that can't be run.
    """
    feed = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in feed.shape]
    zeros = np.zeros(shape, input_type(session))
    try:
        outputs: list[Any] = session.run(names, {feed.name: zeros})
    except Exception as error:  # ONNX Runtime's own errors have no parent but Exception
        raise ModelError(f"ONNX Runtime cannot run this graph: {first_line(error)}") from error
    return outputs


def first_line(error: Exception) -> str:
    """What an error of a library says, in one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def import_runtime() -> Any:
    """The module onnxruntime. Raises MissingPackageError with the command that installs it."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "the models need ONNX Runtime: pip install 'gradwatch[cpu]' (or 'gradwatch[gpu]')", name=error.name
        ) from error
    return onnxruntime


def import_onnx(purpose: str) -> Any:
    """The module onnx. Raises MissingPackageError with the purpose and the command that installs it."""
    try:
        import onnx.utils
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{purpose} needs the package onnx: pip install 'gradwatch[instrument]'", name=error.name
        ) from error
    return onnx


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cut_graph(source: Path, target: Path, inputs: list[str], outputs: list[str]) -> None:
    """Writes the part of a graph from `inputs` to `outputs`. Raises MissingPackageError without the package onnx."""
    import_onnx(f"cutting {source.name}").utils.extract_model(str(source), str(target), inputs, outputs)
