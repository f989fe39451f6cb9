"""The closed forms on the outputs of an instrumented file equal autograd inside the original network."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from gradwatch.models.gradients.head import head_scores, sigmoid, softmax
from gradwatch.models.instrument import instrument
from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.zoo import MODELS

CLASSES = 5
LAYOUTS = [
    ("nanodet", "split"),
    ("nanodet", "joined"),
    ("nanodet", "apart"),
    ("yolov5", "decoded"),
    ("yolov5", "sliced"),
    ("yolov8", "decoded"),
    ("yolov8", "raw"),
    ("yolox", "decoded"),
    ("yolox", "raw"),
    ("rtdetr", "two"),
    ("rtdetr", "joined"),
    ("classifier", "linear"),
    ("classifier", "convolution"),
    ("classifier", "tokens"),
    ("classifier", "softmax"),
]


def heads_in(file):
    """(module, rows that are classes) of each head of the torch network, in the levels' order."""
    network, family = file.network, file.family
    if family in ("rtdetr", "classifier"):
        return [(network.head, slice(None))]
    if family == "yolov5":
        starts = [anchor * (5 + CLASSES) + 5 for anchor in range(2)]
        return [(module, slice(start, start + CLASSES)) for module in network.heads for start in starts]
    return [(module, slice(0, CLASSES)) for module in network.heads]


def autograd(network, blob, module, rows, location, activation):
    """Logits (C,) at a location and dJ/dW (C, D), J the loss to the class predicted there, by the whole network."""
    outputs = []
    hook = module.register_forward_hook(lambda _, __, output: outputs.append(output))
    network(torch.from_numpy(blob))
    hook.remove()
    # A classifier that looks at one vector has one location; queries and tokens precede their rows.
    (output,) = outputs
    is_map = output.ndim == 4
    logits = (output.flatten(2)[0, rows, location] if is_map else output.reshape(-1, CLASSES)[location])[None]
    predicted = logits.argmax(1)
    if activation == "softmax":
        loss = torch.nn.functional.cross_entropy(logits, predicted)
    else:
        one_hot = torch.nn.functional.one_hot(predicted, CLASSES).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, one_hot)
    (gradient,) = torch.autograd.grad(loss, module.weight)
    return logits.detach().numpy()[0], gradient.flatten(1)[rows].numpy()


def closed_form(logits, features, activation):
    """dJ/dW (n, C, D) of the same losses: dJ/dz times the inputs of the head."""
    one_hot = np.eye(logits.shape[1], dtype=np.float32)[logits.argmax(1)]
    delta = softmax(logits) - one_hot if activation == "softmax" else (sigmoid(logits) - one_hot) / logits.shape[1]
    return delta[:, :, None] * features[:, None, :]


@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
def test_gradients_are_those_of_the_network(foreign, family, layout):
    file = foreign(family, layout)
    model = instrument(file.path, keep=3)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    blob = np.random.default_rng(2).random((1, 3, 64, 64), np.float32)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {session.get_inputs()[0].name: blob}), strict=True))
    for number, (module, rows) in enumerate(heads_in(file)):
        if family == "classifier":
            activation, index, names = "softmax", [0], ["logits", "features", "weight", "bias"]
            logits, features, weight, bias = (outputs[name] for name in names)
        else:
            activation, index = "sigmoid", outputs[f"index_{number}"][0]
            logits, features = outputs[f"logits_{number}"][0], outputs[f"features_{number}"][0]
            weight, bias = outputs[f"weight_{number}"], outputs[f"bias_{number}"]
        np.testing.assert_allclose(weight, module.weight.detach().flatten(1)[rows], atol=1e-7)
        np.testing.assert_allclose(features @ weight.T + bias, logits, atol=1e-5)
        closed = closed_form(logits, features, activation)
        norms = head_scores(logits, features, activation=activation)["head_gradient_predicted"]
        for k, location in enumerate(index):
            wanted_logits, wanted = autograd(file.network, blob, module, rows, int(location), activation)
            np.testing.assert_allclose(logits[k], wanted_logits, atol=1e-5)
            np.testing.assert_allclose(closed[k], wanted, atol=1e-5)
            assert norms[k] == pytest.approx(np.linalg.norm(wanted), rel=1e-5, abs=1e-5)


def test_gradients_of_the_shipped_nanodet(shared):
    """The published graph up to its head's inputs, then its head in torch, against the shipped file's outputs."""
    published = onnx.load(shared / "data" / "weights" / "nanodet" / "nanodet_m.onnx")
    heads = [node for node in published.graph.node if len(node.input) > 1 and "gfl_cls" in node.input[1]]
    weights = {each.name: numpy_helper.to_array(each) for each in published.graph.initializer}
    del published.graph.output[:]
    published.graph.output.extend(onnx.ValueInfoProto(name=node.input[0]) for node in heads)
    blob = np.random.default_rng(0).normal(0, 1, (1, 3, 416, 416)).astype(np.float32)
    maps = onnxruntime.InferenceSession(published.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"input.1": blob}
    )
    session = load_session(MODELS["nanodet_m"].path(), "cpu")
    for level, (node, features) in enumerate(zip(heads, maps, strict=True)):
        names = [f"{name}_{level}" for name in ("index", "logits", "features")]
        index, logits, inputs = (output[0] for output in session.run(names, {"input.1": blob}))
        assert len(index) == 100
        weight = torch.from_numpy(weights[node.input[1]].copy()).requires_grad_()
        output = torch.nn.functional.conv2d(
            torch.from_numpy(features.copy()), weight, torch.from_numpy(weights[node.input[2]].copy())
        )
        closed = closed_form(logits, inputs, "sigmoid")
        for k in (0, 50, 99):
            here = output.flatten(2)[0, :80, int(index[k])][None]
            one_hot = torch.nn.functional.one_hot(here.argmax(1), 80).float()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(here, one_hot)
            (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
            np.testing.assert_allclose(closed[k], gradient.flatten(1)[:80], atol=1e-5)
            np.testing.assert_allclose(logits[k], here.detach()[0], atol=1e-4)
