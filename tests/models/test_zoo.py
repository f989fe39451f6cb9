"""The table of shipped weights, their inputs and their model cards."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.zoo import MODELS, WEIGHTS

INPUTS = {
    "nanodet_m": ("input.1", [1, 3, 416, 416]),
    "sign_detector": ("image", [1, 288, 512, 3]),
    "sign_classifier": ("crops", ["n", 32, 32, 3]),
    "tiles": ("tiles", ["n", 28, 28, 3]),
}


@pytest.mark.parametrize("name", MODELS)
def test_input_of_the_file(name):
    pytest.importorskip("onnxruntime")
    (feed,) = load_session(MODELS[name].path(), "cpu").get_inputs()
    shape = [size if isinstance(size, int) else "n" for size in feed.shape]
    assert (feed.name, shape) == INPUTS[name]


@pytest.mark.parametrize("name", MODELS)
def test_the_card_names_commands_that_exist(name):
    card = (WEIGHTS / f"{name}.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"gradwatch\.models\.training\.\w+", card))
    assert commands
    assert all(find_spec(command) for command in commands)


def test_no_weights_without_an_entry():
    assert {path.name for path in WEIGHTS.glob("*.onnx")} == {model.file for model in MODELS.values()}
