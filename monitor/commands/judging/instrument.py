"""`gradwatch instrument`: makes an ONNX detector or classifier return the inputs of its class head too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gradwatch import MissingFileError
from gradwatch.models.instrument import KEEP, build, recognize

from ..options import write_output

SIZE = re.compile(r"(\d+)x(\d+)")


def instrument(
    model: Annotated[Path, typer.Argument(help="An ONNX file as its exporter wrote it.")],
    out: Annotated[Path, typer.Option(help="The instrumented file to write.")],
    decoder: Annotated[
        str | None, typer.Option(help="Family of the network, see docs/onnx.md; default: recognized by its graph.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT px, if the file leaves them free.")] = None,
    keep: Annotated[int, typer.Option(help="At most this many places of each level, best first.", min=1)] = KEEP,
    names: Annotated[Path | None, typer.Option(help="File with the classes' names, one a line.")] = None,
    rank: Annotated[
        list[int] | None, typer.Option(help="Choose places by this class id only; may be repeated. Default: all.")
    ] = None,
) -> None:
    """Make an ONNX detector or classifier return what gradient scores need; prints what it was recognized as."""
    console = Console(stderr=True)
    recognition = recognize(model, decoder, input_size=_pixels(size))
    made = build(recognition, keep, classes=_lines(names) if names else None, ranked=rank)
    write_output(out, made.SerializeToString())
    console.print(recognition.describe(), f"written to {out}", sep="\n", soft_wrap=True, highlight=False)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise MissingFileError(f"expected a file with the classes' names at {path}, got {error.strerror}") from error
    return [stripped for line in lines if (stripped := line.strip())]


def _pixels(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    parts = SIZE.fullmatch(size)
    if parts is None:
        raise typer.BadParameter(f"expected WIDTHxHEIGHT such as 640x640, got {size!r}", param_hint="--size")
    return int(parts[1]), int(parts[2])
