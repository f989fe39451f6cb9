"""Cores and graphics cards, and whether the runtimes that are installed really run a network on them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from gradwatch.models.devices import onnx_runtime, torch_device, try_device
from gradwatch.models.zoo import WEIGHTS

from .findings import Finding, Scope, Status

NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
TO_GPU = "pip uninstall onnxruntime && pip install 'gradwatch[gpu]'"


def cores(scope: Scope) -> list[Finding]:
    """The cores that this process may use, against the threads that are asked for."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings = scope.configuration.worker
    asked = max(settings.model_threads, settings.decode_threads)
    found = f"{count} of {os.cpu_count()} may be used"
    if asked > count:
        found += f", {asked} threads are asked for at once"
        remedy = f"set worker.model_threads and worker.decode_threads to {count} at most"
        return [Finding("cores", Status.WRONG, found, remedy, needed=False)]
    return [Finding("cores", Status.OK, found)]


def onnx(scope: Scope) -> list[Finding]:
    """ONNX Runtime on the device that the configuration asks for, and on CUDA where there is any."""
    device = scope.configuration.worker.device
    runtime = onnx_runtime()
    weights = scope.configuration.models.weights
    folder = Path(weights) if weights else WEIGHTS
    findings = []
    if device != "cuda":
        findings.append(_tried("CPU", try_device("cpu", folder), runtime.version))
    card = _graphics_card()
    if runtime.has_cuda or device == "cuda":
        try:
            findings.append(_tried("CUDA", try_device("cuda", folder), runtime.version))
        except Exception as error:
            status = Status.WRONG if device == "cuda" or card else Status.MISSING
            findings.append(Finding("ONNX Runtime, CUDA", status, str(error), _cuda_remedy(card), device == "cuda"))
    elif card:
        found = f"{card} is not used: this ONNX Runtime has no CUDA"
        findings.append(Finding("ONNX Runtime, CUDA", Status.MISSING, found, TO_GPU, needed=False))
    return findings


def torch(scope: Scope) -> list[Finding]:
    """torch, which the extras `deep` and `train` bring, and the card that it sees."""
    seen, card = torch_device(), _graphics_card()
    if seen is None:
        return []  # its extra says so
    if seen.device:
        return [Finding("torch", Status.OK, f"{seen.version}, {seen.device} by CUDA {seen.cuda}", needed=False)]
    if card:
        remedy = "install torch as pytorch.org/get-started says for this driver"
        return [Finding("torch", Status.WRONG, f"{seen.version} does not see {card}", remedy, needed=False)]
    return [Finding("torch", Status.OK, f"{seen.version}, on the CPU", needed=False)]


def _tried(name: str, providers: tuple[str, ...], version: str) -> Finding:
    got = providers[0].removesuffix("ExecutionProvider")
    return Finding(f"ONNX Runtime, {name}", Status.OK, f"{version} ran a network on {got}")


def _cuda_remedy(card: str) -> str:
    if not card:
        return "install NVIDIA's driver, or set worker.device: cpu"
    return f"{TO_GPU}; its CUDA and cuDNN must fit the driver, or set worker.device: cpu"


def _graphics_card() -> str:
    """The first NVIDIA card and its driver, "" where there is none."""
    if shutil.which(NVIDIA_SMI[0]) is None:
        return ""
    told = subprocess.run(NVIDIA_SMI, capture_output=True, text=True, check=False, timeout=5)
    if told.returncode != 0 or not told.stdout.strip():
        return ""
    name, driver, memory = (part.strip() for part in told.stdout.splitlines()[0].split(","))
    return f"{name} ({memory}, driver {driver})"
