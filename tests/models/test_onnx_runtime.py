"""Sessions are opened on the device that was asked for, or the error gives the reason."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from gradwatch.models import onnx_runtime
from gradwatch.models.onnx_runtime import DeviceError, file_hash, import_runtime, load_session
from gradwatch.models.zoo import MODELS


class FakeRuntime:
    """An ONNX Runtime with CUDA compiled in that falls back to the CPU, as the real one does without an error."""

    def __init__(self, available, opened):
        self.available, self.opened = available, opened

    def get_available_providers(self):
        return self.available

    class SessionOptions:
        def add_session_config_entry(self, name, value):
            pass

    def InferenceSession(self, path, options, providers):  # its real name
        return SimpleNamespace(get_providers=lambda: self.opened, asked=providers, options=options)


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"not read by the fake")
    return path


def test_silent_fall_back_is_an_error(monkeypatch, graph):
    fake = FakeRuntime(["CUDAExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"])
    monkeypatch.setattr(onnx_runtime, "import_runtime", lambda: fake)
    with pytest.raises(DeviceError, match="CUDA or cuDNN"):
        load_session(graph, "cuda")
    assert load_session(graph, "auto").asked[0] == "CUDAExecutionProvider"
    assert load_session(graph, "cpu").asked == ["CPUExecutionProvider"]


def test_runtime_without_cuda(monkeypatch, graph):
    monkeypatch.setattr(
        onnx_runtime, "import_runtime", lambda: FakeRuntime(["CPUExecutionProvider"], ["CPUExecutionProvider"])
    )
    with pytest.raises(DeviceError, match=r"gradwatch\[gpu\]"):
        load_session(graph, "cuda")
    assert load_session(graph, "auto", threads=3).options.intra_op_num_threads == 3


def test_missing_file_and_unknown_device(tmp_path, graph):
    with pytest.raises(FileNotFoundError, match=r"absent\.onnx"):
        load_session(tmp_path / "absent.onnx")
    with pytest.raises(ValueError, match="'tpu'"):
        load_session(graph, "tpu")


def test_missing_runtime_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'gradwatch\[cpu\]'"):
        import_runtime()


def test_real_session():
    pytest.importorskip("onnxruntime")
    session = load_session(MODELS["tiles"].path(), "cpu")
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_file_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tiles\.onnx"):
        MODELS["tiles"].path(tmp_path)
