"""`gradwatch topics`: create the topics, or report what is wrong with them and the command that mends it."""

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
    create: Annotated[bool, typer.Option(help="Create missing topics.")] = False,
    mend: Annotated[bool, typer.Option(help="Create missing topics and correct wrong settings.")] = False,
    partitions: Annotated[
        int, typer.Option(help="Partitions of frames, state and verdicts; can't be raised later.")
    ] = (DEFAULT_PARTITIONS),
) -> None:
    """Check the topics; create or correct them with --create or --mend. Exit code 1 if a topic is not as required."""
    configuration = load(config)
    servers = bootstrap_servers or configuration.broker.bootstrap_servers
    names, client = topics_of(configuration), configuration.broker.client
    console = Console()
    if create or mend:
        created = ensure_topics(servers, names, partitions=partitions, client_settings=client)
        console.print(f"created {', '.join(created) or 'nothing, all topics exist'}", soft_wrap=True)
    problems = check_topics(servers, names, client_settings=client)
    if mend:
        for problem in mend_topics(servers, problems, client):
            console.print(f"topic {problem.topic}: {problem.setting} is now {problem.expected}", soft_wrap=True)
        problems = check_topics(servers, names, client_settings=client)
    unknown = [problem for problem in problems if problem.is_unknown]
    wrong = [problem for problem in problems if not problem.is_unknown]
    for problem in wrong:
        console.print(str(problem), soft_wrap=True)
    if unknown:
        console.print(f"{len(unknown)} settings unknown: this broker does not report the settings of topics")
    if wrong:
        console.print(f"or let gradwatch do it: {mending_command(config, bootstrap_servers)}", soft_wrap=True)
        raise typer.Exit(1)
    console.print("all topics exist" + ("" if unknown else " with the settings that the contract requires"))


def mending_command(config: Path | None, bootstrap_servers: str | None) -> str:
    """The command that corrects the topics, with the same options."""
    options = [] if config is None else ["--config", str(config)]
    options += [] if bootstrap_servers is None else ["--bootstrap-servers", bootstrap_servers]
    return shlex.join(["gradwatch", "topics", "--mend", *options])
