"""Devices that the installed runtimes can use here."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from gradwatch.models.devices import torch_device, try_device
from gradwatch.models.onnx_runtime import CUDA, DeviceError, import_runtime


def test_a_network_runs_on_the_cpu() -> None:
    assert try_device("cpu") == ("CPUExecutionProvider",)
    assert "CPUExecutionProvider" in import_runtime().get_available_providers()


def test_an_absent_device_is_an_error(tmp_path: Path) -> None:
    if CUDA in import_runtime().get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(DeviceError, match=r"gradwatch\[gpu\]"):
        try_device("cuda")
    with pytest.raises(FileNotFoundError):
        try_device("cpu", tmp_path)


def test_version_of_torch() -> None:
    pytest.importorskip("torch")
    seen = torch_device()
    assert seen is not None
    assert seen.version == version("torch")
