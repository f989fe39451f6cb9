"""`gradwatch instrument`: anyone's ONNX detector or classifier, made to return its class head's inputs too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gradwatch.models.instrument import KEEP, build, recognize

SIZE = re.compile(r"(\d+)x(\d+)")


def instrument(
    model: Annotated[Path, typer.Argument(help="An ONNX file as its exporter wrote it.")],
    out: Annotated[Path, typer.Option(help="The instrumented file to write.")],
    decoder: Annotated[
        str | None, typer.Option(help="The family, see docs/onnx.md; default: found by the graph's structure.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT px, where the file leaves them free.")] = None,
    keep: Annotated[int, typer.Option(help="At most so many places of each level, best first.", min=1)] = KEEP,
    names: Annotated[Path | None, typer.Option(help="The classes' names, one a line.")] = None,
    rank: Annotated[
        list[int] | None, typer.Option(help="Choose places by these class ids alone; once for each. Default: all.")
    ] = None,
) -> None:
    """Make an ONNX detector or classifier return what gradient scores need; says what it was recognized as."""
    console = Console(stderr=True)
    recognition = recognize(model, decoder, input_size=_pixels(size))
    made = build(recognition, keep, classes=_lines(names) if names else None, ranked=rank)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(made.SerializeToString())
    console.print(recognition.describe(), f"written to {out}", sep="\n", soft_wrap=True, highlight=False)


def _lines(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _pixels(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    parts = SIZE.fullmatch(size)
    if parts is None:
        raise typer.BadParameter(f"expected WIDTHxHEIGHT such as 640x640, got {size!r}", param_hint="--size")
    return int(parts[1]), int(parts[2])
