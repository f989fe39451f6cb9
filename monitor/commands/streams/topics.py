"""`gradwatch topics`: create the topics, or say what is wrong with them and what mends it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gradwatch.streams.transport.admin import check_topics, ensure_topics, mend_topics
from gradwatch.streams.wire.topics import DEFAULT_PARTITIONS

from ...config import load
from ...worker.build import topics_of
from ..options import BootstrapOption, ConfigOption


def topics(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    create: Annotated[bool, typer.Option(help="Create those that are missing.")] = False,
    mend: Annotated[bool, typer.Option(help="Create those that are missing and set those that are wrong.")] = False,
    partitions: Annotated[int, typer.Option(help="Of frames, state and verdicts; can't be raised later.")] = (
        DEFAULT_PARTITIONS
    ),
) -> None:
    """Check the topics; with --create or --mend set them right. Exit code 1 where something must be mended."""
    configuration = load(config)
    servers = bootstrap_servers or configuration.broker.bootstrap_servers
    names, client = topics_of(configuration), configuration.broker.client
    console = Console()
    if create or mend:
        made = ensure_topics(servers, names, partitions=partitions, client_settings=client)
        console.print(f"created {', '.join(made) or 'nothing, all topics are there'}", soft_wrap=True)
    problems = check_topics(servers, names, client_settings=client)
    if mend:
        for problem in mend_topics(servers, problems, client):
            console.print(f"topic {problem.topic}: {problem.setting} is now {problem.expected}", soft_wrap=True)
        problems = check_topics(servers, names, client_settings=client)
    untold = [problem for problem in problems if problem.is_unknown]
    wrong = [problem for problem in problems if not problem.is_unknown]
    for problem in wrong:
        console.print(str(problem), soft_wrap=True)
    if untold:
        console.print(f"{len(untold)} settings unknown: this broker does not tell its topics' settings")
    if wrong:
        console.print(f"or let gradwatch do it: {mending_command(config, bootstrap_servers)}", soft_wrap=True)
        raise typer.Exit(1)
    console.print("all topics are there" + ("" if untold else " and set as the contract needs them"))


def mending_command(config: Path | None, bootstrap_servers: str | None) -> str:
    """What to type to set the topics right, with the options that were given."""
    options = [] if config is None else ["--config", str(config)]
    options += [] if bootstrap_servers is None else ["--bootstrap-servers", bootstrap_servers]
    return shlex.join(["gradwatch", "topics", "--mend", *options])
