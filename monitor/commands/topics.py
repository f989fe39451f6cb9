"""`gradwatch topics`: create the topics, or say what is wrong with them and what mends it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from gradwatch.streams.topics import DEFAULT_PARTITIONS
from gradwatch.streams.transport.admin import UNKNOWN, check_topics, ensure_topics

from ..assembly import topics_of
from ..config import load
from .options import BootstrapOption, ConfigOption


def topics(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    create: Annotated[bool, typer.Option(help="Create those that are missing.")] = False,
    partitions: Annotated[int, typer.Option(help="Of frames, state and verdicts; can't be raised later.")] = (
        DEFAULT_PARTITIONS
    ),
) -> None:
    """Check the topics; with --create make those that are missing. Exit code 1 where something must be mended."""
    configuration = load(config)
    servers = bootstrap_servers or configuration.broker.bootstrap_servers
    names = topics_of(configuration)
    console = Console()
    if create:
        made = ensure_topics(servers, names, partitions=partitions, client_settings=configuration.broker.client)
        console.print(f"created {', '.join(made) or 'nothing, all topics are there'}")
    problems = check_topics(servers, names, client_settings=configuration.broker.client)
    untold = [problem for problem in problems if problem.got == UNKNOWN]
    wrong = [problem for problem in problems if problem.got != UNKNOWN]
    for problem in wrong:
        console.print(str(problem), soft_wrap=True)
    if untold:
        console.print(f"{len(untold)} settings unknown: this broker does not tell its topics' settings")
    if wrong:
        raise typer.Exit(1)
    console.print("all topics are there" + ("" if untold else " and set as the contract needs them"))
