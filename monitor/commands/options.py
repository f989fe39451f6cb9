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
MetricsPortOption = Annotated[
    int | None, typer.Option(help="Serve /metrics, /healthz and /readyz on this port.", min=0, max=65535)
]
MetricsAddressOption = Annotated[str, typer.Option(help="Address of that port; 0.0.0.0 opens it to the network.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
