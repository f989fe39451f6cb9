"""Small networks in the style of each family, exported as their authors do it; weights are seeded noise."""

from __future__ import annotations

import itertools
import warnings
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from torch import nn  # noqa: E402

SIDE_PX, CLASSES, BINS = 64, 5, 8
STRIDES_PX = (8, 16, 32)
WIDTHS = (12, 16, 20, 24)
ANCHORS_PX = torch.tensor([[[10, 13], [16, 30]], [[30, 61], [62, 45]], [[50, 40], [60, 60]]]).float()


def grid(side, offset):
    """(1, side, side, 2): x and y of every location, in cells."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (torch.stack((x, y), 2).float() + offset)[None]


class Backbone(nn.Module):
    """A picture -> feature maps at strides 8, 16, 32 (and 64)."""

    def __init__(self, levels=3):
        super().__init__()
        self.first = nn.Conv2d(3, WIDTHS[0], 9, 8, 4)
        pairs = itertools.pairwise(WIDTHS[:levels])
        self.rest = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairs)

    def forward(self, x):
        maps = [torch.relu(self.first(x))]
        for convolution in self.rest:
            maps.append(torch.relu(convolution(maps[-1])))
        return maps


def convolutions(rows, levels=3):
    return nn.ModuleList(nn.Conv2d(width, rows, 1) for width in WIDTHS[:levels])


class NanoDet(nn.Module):
    """layout: `split` = six outputs as published, `joined` = one as newer exports, `apart` = a convolution each."""

    def __init__(self, layout="split", levels=3):
        super().__init__()
        self.layout, self.backbone = layout, Backbone(levels)
        self.heads = convolutions(CLASSES + (0 if layout == "apart" else 4 * BINS), levels)
        self.boxes = convolutions(4 * BINS, levels) if layout == "apart" else None

    def forward(self, x):
        classes, boxes = [], []
        for i, features in enumerate(self.backbone(x)):
            out = self.heads[i](features)
            if self.boxes is None:
                out, box = out.split([CLASSES, 4 * BINS], 1)
            else:
                box = self.boxes[i](features)
            classes.append(out.sigmoid().flatten(2))
            boxes.append(box.flatten(2))
        if self.layout == "split":
            return tuple(each.permute(0, 2, 1) for each in (*classes, *boxes))
        both = [torch.cat(pair, 1) for pair in zip(classes, boxes, strict=True)]
        return torch.cat(both, 2).permute(0, 2, 1)


class YoloV5(nn.Module):
    """layout: `decoded`, `sliced` (decoded, as older releases), `both` (decoded and raw), `raw` (5-D)."""

    def __init__(self, layout="decoded"):
        super().__init__()
        self.layout, self.backbone = layout, Backbone()
        self.heads = convolutions(2 * (5 + CLASSES))

    def forward(self, x):
        decoded, raw = [], []
        for i, features in enumerate(self.backbone(x)):
            side = SIDE_PX // STRIDES_PX[i]
            out = self.heads[i](features).view(1, 2, 5 + CLASSES, side, side).permute(0, 1, 3, 4, 2).contiguous()
            raw.append(out)
            sizes = ANCHORS_PX[i].view(1, 2, 1, 1, 2)
            if self.layout == "sliced":
                y = out.sigmoid()
                xy = (y[..., 0:2] * 2.0 - 0.5 + grid(side, 0)) * STRIDES_PX[i]
                y = torch.cat((xy, (y[..., 2:4] * 2) ** 2 * sizes, y[..., 4:]), -1)
            else:
                xy, wh, conf = out.sigmoid().split((2, 2, CLASSES + 1), 4)
                xy = (xy * 2 + grid(side, -0.5)) * STRIDES_PX[i]
                y = torch.cat((xy, (wh * 2) ** 2 * sizes, conf), 4)
            decoded.append(y.view(1, 2 * side * side, 5 + CLASSES))
        if self.layout == "raw":
            return tuple(raw)
        return (torch.cat(decoded, 1), *raw) if self.layout == "both" else torch.cat(decoded, 1)


class YoloV8(nn.Module):
    """layout: `decoded` (levels joined, then split), `apart` (boxes and classes joined on their own), `raw`."""

    def __init__(self, layout="decoded"):
        super().__init__()
        self.layout, self.backbone = layout, Backbone()
        self.boxes, self.heads = convolutions(4 * BINS), convolutions(CLASSES)
        self.expectation = nn.Conv2d(BINS, 1, 1, bias=False)
        self.expectation.weight.data = torch.arange(BINS).float().view(1, BINS, 1, 1)

    def forward(self, x):
        maps = self.backbone(x)
        out = [(self.boxes[i](features), self.heads[i](features)) for i, features in enumerate(maps)]
        if self.layout == "raw":
            return tuple(torch.cat(pair, 1) for pair in out)
        if self.layout == "apart":
            box, classes = (torch.cat([each[k].flatten(2) for each in out], -1) for k in (0, 1))
        else:
            levels = [torch.cat(pair, 1).view(1, 4 * BINS + CLASSES, -1) for pair in out]
            box, classes = torch.cat(levels, 2).split((4 * BINS, CLASSES), 1)
        places = box.shape[2]
        distance = self.expectation(box.view(1, 4, BINS, places).transpose(2, 1).softmax(1)).view(1, 4, places)
        left_top, right_bottom = distance.chunk(2, 1)
        sides = [SIDE_PX // stride for stride in STRIDES_PX]
        anchors = torch.cat([grid(side, 0.5).view(-1, 2) for side in sides]).T[None]
        strides = torch.cat([torch.full((s * s,), float(k)) for s, k in zip(sides, STRIDES_PX, strict=True)])
        first, last = anchors - left_top, anchors + right_bottom
        boxes = torch.cat(((first + last) / 2, last - first), 1) * strides
        return torch.cat((boxes, classes.sigmoid()), 1)


class YoloX(nn.Module):
    """layout: `decoded` (boxes in px) or `raw` (offsets and logarithms)."""

    def __init__(self, layout="decoded"):
        super().__init__()
        self.layout, self.backbone = layout, Backbone()
        self.boxes, self.objectness, self.heads = convolutions(4), convolutions(1), convolutions(CLASSES)

    def forward(self, x):
        levels, cells, strides = [], [], []
        for i, features in enumerate(self.backbone(x)):
            there, classes = self.objectness[i](features).sigmoid(), self.heads[i](features).sigmoid()
            levels.append(torch.cat([self.boxes[i](features), there, classes], 1).flatten(2))
            side = SIDE_PX // STRIDES_PX[i]
            cells.append(grid(side, 0).view(1, -1, 2))
            strides.append(torch.full((1, side * side, 1), float(STRIDES_PX[i])))
        outputs = torch.cat(levels, 2).permute(0, 2, 1)
        if self.layout == "raw":
            return outputs
        cell, stride = torch.cat(cells, 1), torch.cat(strides, 1)
        return torch.cat(
            [(outputs[..., 0:2] + cell) * stride, torch.exp(outputs[..., 2:4]) * stride, outputs[..., 4:]], -1
        )


class RtDetr(nn.Module):
    """layout: `two` outputs (logits, boxes) or `joined` (boxes, then probabilities)."""

    def __init__(self, layout="two", queries=20):
        super().__init__()
        self.layout, self.queries, width = layout, queries, WIDTHS[0]
        self.backbone, self.attend = Backbone(1), nn.Linear(width, width)
        self.first_score, self.first_box = nn.Linear(width, CLASSES), nn.Linear(width, 4)
        self.head, self.box = nn.Linear(width, CLASSES), nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, x):
        memory = self.backbone(x)[0].flatten(2).permute(0, 2, 1)
        best = self.first_score(memory).max(-1).values.topk(self.queries, 1).indices
        target = memory.gather(1, best.unsqueeze(-1).repeat(1, 1, memory.shape[-1]))
        reference = self.first_box(memory).gather(1, best.unsqueeze(-1).repeat(1, 1, 4)).sigmoid()
        hidden = target + torch.softmax(self.attend(target) @ memory.transpose(1, 2), -1) @ memory
        inverse = torch.log(reference.clamp(min=1e-5) / (1 - reference).clamp(min=1e-5))
        boxes, logits = (self.box(hidden) + inverse).sigmoid(), self.head(hidden)
        return (logits, boxes) if self.layout == "two" else torch.cat((boxes, logits.sigmoid()), -1)


class Classifier(nn.Module):
    """layout: `linear` or `convolution` on a global pool, `tokens` (MatMul + Add on a mean), `softmax` inside."""

    def __init__(self, layout="linear"):
        super().__init__()
        self.layout, self.backbone = layout, Backbone()
        self.head = nn.Conv2d(WIDTHS[2], CLASSES, 1) if layout == "convolution" else nn.Linear(WIDTHS[2], CLASSES)

    def forward(self, x):
        features = self.backbone(x)[-1]
        if self.layout == "convolution":
            return self.head(features.mean((2, 3), keepdim=True)).flatten(1)
        if self.layout == "tokens":
            return self.head(features.flatten(2).mean(2, keepdim=True).transpose(1, 2)).squeeze(1)
        logits = self.head(nn.functional.adaptive_avg_pool2d(features, 1).flatten(1))
        return logits.softmax(1) if self.layout == "softmax" else logits


NETWORKS = {
    "nanodet": NanoDet,
    "yolov5": YoloV5,
    "yolov8": YoloV8,
    "yolox": YoloX,
    "rtdetr": RtDetr,
    "classifier": Classifier,
}


RANGES = {"nanodet": 4, "yolox": 255}  # of a network's input; about 1 for the others


def seeded(network, range_of_input):
    """Weights of noise that make scores and boxes differ between locations, and saturate nowhere."""
    torch.manual_seed(3)
    for name, parameter in network.named_parameters():
        if "expectation" not in name:
            nn.init.normal_(parameter, 0, 0.5 if parameter.ndim == 1 else 2 / parameter[0].numel() ** 0.5)
    with torch.no_grad():
        network.backbone.first.weight /= range_of_input
    return network.eval()


@pytest.fixture(scope="session")
def foreign(tmp_path_factory):
    """foreign(family, layout, …) -> the network, the path of its ONNX file, and the side of its input; made once."""
    made = {}

    def make(family, layout, *, dynamo=False, opset=None, side_px=SIDE_PX, **settings):
        key = (family, layout, dynamo, opset, side_px, *settings.items())
        if key not in made:
            network = seeded(NETWORKS[family](layout, **settings), RANGES.get(family, 1))
            path = tmp_path_factory.mktemp("foreign") / f"{family}_{layout}.onnx"
            picture = torch.zeros(1, 3, side_px, side_px)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    network, (picture,), str(path), dynamo=dynamo, opset_version=opset or (18 if dynamo else 12),
                    verbose=False, **({"external_data": False} if dynamo else {}),
                )  # fmt: skip
            made[key] = SimpleNamespace(network=network, path=path, family=family, layout=layout)
        return made[key]

    return make
