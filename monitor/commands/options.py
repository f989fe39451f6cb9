"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file, see deploy/gradwatch.yaml; defaults where absent.")
]
BootstrapOption = Annotated[
    str | None, typer.Option("--bootstrap-servers", "-b", help="Kafka, HOST:PORT[,…]; overrides the configuration.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
