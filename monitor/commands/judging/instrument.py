"""`gradwatch instrument`: adds the inputs of the class head to the outputs of an ONNX detector or classifier."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Meta
from rich.console import Console

from gradwatch import MissingFileError
from gradwatch.models.instrument import KEEP, recognize
from gradwatch.models.instrument import instrument as instrument_model

from ..options import OutputError, numeric, refuse_overwriting, write_output

SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
NAMES_BYTES = 1024 * 1024
KeptLocations = Annotated[int, Meta(ge=1, le=100_000)]
ClassId = Annotated[int, Meta(ge=0, le=99_999)]


def instrument(
    model: Annotated[Path, typer.Argument(help="An ONNX file as its exporter wrote it.")],
    out: Annotated[Path, typer.Option(help="The instrumented file to write.")],
    decoder: Annotated[
        str | None, typer.Option(help="The family, see docs/onnx.md; default: recognized by the graph's structure.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT px, where the file leaves them free.")] = None,
    keep: Annotated[int, numeric(KeptLocations, "Locations to return for each level, best first.")] = KEEP,
    names: Annotated[Path | None, typer.Option(help="File with the names of the classes, one a line.")] = None,
    rank: Annotated[
        list[int] | None, numeric(ClassId, "Rank locations by this class id only; repeat for several. Default: all.")
    ] = None,
) -> None:
    """Add the outputs that gradient scores need to an ONNX detector or classifier, and print what was recognized."""
    refuse_overwriting(out, [model, *([] if names is None else [names])])
    console = Console(stderr=True)
    recognition = recognize(model, decoder, input_size=_parse_size(size))
    description = recognition.describe()
    instrumented = instrument_model(recognition, keep=keep, classes=_read_names(names), ranked=rank)
    write_output(out, instrumented.SerializeToString())
    console.print(description, f"written to {out}", sep="\n", soft_wrap=True, highlight=False)


def _read_names(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    if not path.is_file():
        raise MissingFileError(f"no file with the names of the classes at {path}")
    try:
        with path.open("rb") as file:
            text = file.read(NAMES_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"--names: expected a text file in UTF-8, one name a line, got {path}: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _parse_size(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    parts = SIZE.fullmatch(size)
    if parts is None:
        raise typer.BadParameter(f"expected WIDTHxHEIGHT such as 640x640, got {size!r}", param_hint="--size")
    return int(parts[1]), int(parts[2])
