"""`gradwatch config check`: whether a configuration file can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...config import ConfigurationError, load
from ..options import ConfigOption

config = typer.Typer(help="Check a configuration file.", no_args_is_help=True)


@config.callback()
def of_a_file() -> None:
    """Check a configuration file."""


@config.command("check")
def check(
    file: Annotated[Path | None, typer.Argument(help="The file, if not given by --config.")] = None,
    config: ConfigOption = None,
) -> None:
    """Check keys, types, ranges and combinations of a configuration; `gradwatch doctor` checks the files it names."""
    path = file or config
    if path is None:
        raise ConfigurationError("expected a configuration file to check, got none: gradwatch config check FILE")
    load(path)
    typer.echo(f"{path} can be used")
