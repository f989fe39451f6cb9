"""Runs foreign graphs once, within bounds of memory and time: whatever is in the file, the run ends."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

from numpy.typing import NDArray

from ..manifest import InstrumentationError
from ..onnx_runtime import first_line, import_runtime

MAX_BYTES = 8 * 1024**3  # of all tensors of a run
MAX_S = 300.0


def run_graph(model: Any, names: list[str], feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The values of tensors of a model, which are its outputs. Raises InstrumentationError where it can't be run."""
    runtime = import_runtime()
    _limit_memory()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.use_env_allocators", "1")
    run_options = runtime.RunOptions()
    run_options.log_severity_level = 4
    timer = threading.Timer(MAX_S, setattr, (run_options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        session = runtime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        values = session.run(names, dict(feeds), run_options)
    except Exception as error:  # ONNX Runtime's own errors have no parent but Exception
        raise InstrumentationError(f"ONNX Runtime cannot run this graph: {first_line(error)}") from error
    finally:
        timer.cancel()
    return dict(zip(names, values, strict=True))


@cache
def _limit_memory() -> None:
    """Sets the limit of the allocator that sessions share which ask for it: those above, and no others."""
    runtime = import_runtime()
    runtime.set_default_logger_severity(4)  # what is beyond the limit is an error, and need not be a line as well
    device = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    runtime.create_and_register_allocator(device, runtime.OrtArenaCfg({"max_mem": MAX_BYTES}))
