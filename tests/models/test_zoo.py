"""The table of shipped weights agrees with the files."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.zoo import MODELS, WEIGHTS


@pytest.mark.parametrize("name", MODELS)
def test_table_agrees_with_the_file(name):
    pytest.importorskip("onnxruntime")
    model = MODELS[name]
    inputs = load_session(model.path(), "cpu").get_inputs()
    assert [value.name for value in inputs] == [model.input]
    shape = inputs[0].shape
    assert len(shape) == len(model.shape)
    for got, stated in zip(shape, model.shape, strict=True):
        assert isinstance(got, str) if stated == "n" else got == stated


@pytest.mark.parametrize("name", MODELS)
def test_the_card_names_commands_that_exist(name):
    card = (WEIGHTS / f"{name}.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"gradwatch\.models\.training\.\w+", card))
    assert commands
    assert all(find_spec(command) for command in commands)


def test_no_weights_without_an_entry():
    assert {path.name for path in WEIGHTS.glob("*.onnx")} == {model.file for model in MODELS.values()}
