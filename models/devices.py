"""Devices that the installed runtimes can use: ONNX Runtime's, tried on a real graph, and torch's."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .onnx_runtime import Device, load_session, run_on_zeros
from .zoo import MODELS, WEIGHTS


@dataclass(frozen=True, slots=True)
class TorchDevice:
    """The installed torch: its version, the CUDA it was built for (None = CPU only) and the device that it finds."""

    version: str
    cuda: str | None
    device: str | None


def try_device(device: Device, folder: Path = WEIGHTS) -> tuple[str, ...]:
    """Runs the smallest shipped network once and returns the providers of its session.

    Raises DeviceError where `device` is not available, and ONNX Runtime's own errors for a broken file.
    """
    session = load_session(MODELS["tiles"].path(folder), device)
    run_on_zeros(session)
    return tuple(session.get_providers())


def torch_device() -> TorchDevice | None:
    """The installed torch, None without it. Importing it takes seconds."""
    if find_spec("torch") is None:
        return None
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return TorchDevice(str(torch.__version__), torch.version.cuda, device)
