"""Checks cores and graphics cards, and that the installed runtimes really run a network on them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from gradwatch.models.devices import torch_device, try_device
from gradwatch.models.onnx_runtime import CUDA, import_runtime
from gradwatch.models.zoo import WEIGHTS

from .results import Context, Result, Status

NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
TO_GPU = "pip uninstall onnxruntime && pip install 'gradwatch[gpu]'"


def cores(context: Context) -> list[Result]:
    """The cores that this process may use, against the threads that are configured."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings = context.configuration.worker
    threads = max(settings.model_threads, settings.decode_threads)
    found = f"{count} of {os.cpu_count()} can be used"
    if threads > count:
        remedy = f"set worker.model_threads and worker.decode_threads to {count} at most"
        return [Result("cores", Status.WRONG, f"{found}, {threads} threads are configured", remedy, needed=False)]
    return [Result("cores", Status.OK, found)]


def onnx(context: Context) -> list[Result]:
    """ONNX Runtime on the configured device, and on CUDA if it is available."""
    device = context.configuration.worker.device
    runtime = import_runtime()
    weights = context.configuration.models.weights
    folder = Path(weights) if weights else WEIGHTS
    results = []
    if device != "cuda":
        results.append(_ran("CPU", try_device("cpu", folder), runtime.__version__))
    card = _graphics_card()
    if CUDA in runtime.get_available_providers() or device == "cuda":
        try:
            results.append(_ran("CUDA", try_device("cuda", folder), runtime.__version__))
        except Exception as error:
            status = Status.WRONG if device == "cuda" or card else Status.MISSING
            remedy = "install NVIDIA's driver, or set worker.device: cpu"
            if card:
                remedy = f"{TO_GPU}; its CUDA and cuDNN must fit the driver, or set worker.device: cpu"
            results.append(Result("ONNX Runtime, CUDA", status, str(error), remedy, device == "cuda"))
    elif card:
        found = f"{card} is not used: this ONNX Runtime has no CUDA"
        results.append(Result("ONNX Runtime, CUDA", Status.MISSING, found, TO_GPU, needed=False))
    return results


def torch(context: Context) -> list[Result]:
    """torch, which the extra `train` installs, and the card that it uses."""
    device, card = torch_device(), _graphics_card()
    if device is None:
        return []  # the row of its extra says that it is missing
    if device.device:
        found = f"{device.version}, {device.device} with CUDA {device.cuda}"
        return [Result("torch", Status.OK, found, needed=False)]
    if card:
        remedy = "install torch for this driver, see pytorch.org/get-started"
        return [Result("torch", Status.WRONG, f"{device.version} does not find {card}", remedy, needed=False)]
    return [Result("torch", Status.OK, f"{device.version}, on the CPU", needed=False)]


def _ran(name: str, providers: tuple[str, ...], version: str) -> Result:
    provider = providers[0].removesuffix("ExecutionProvider")
    return Result(f"ONNX Runtime, {name}", Status.OK, f"{version} ran a network on {provider}")


def _graphics_card() -> str:
    """The first NVIDIA card and its driver, "" if there is none."""
    if shutil.which(NVIDIA_SMI[0]) is None:
        return ""
    done = subprocess.run(NVIDIA_SMI, capture_output=True, text=True, check=False, timeout=5)
    if done.returncode != 0 or not done.stdout.strip():
        return ""
    name, driver, memory = (part.strip() for part in done.stdout.splitlines()[0].split(","))
    return f"{name} ({memory}, driver {driver})"
