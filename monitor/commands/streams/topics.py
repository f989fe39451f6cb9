"""`gradwatch topics`: create the topics, or report what is wrong with them and the command that mends it."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec import Meta
from rich.console import Console

from gradwatch.streams.transport.admin import check_topics, ensure_topics, mend_topics
from gradwatch.streams.wire.topics import DEFAULT_PARTITIONS

from ...worker.build import topics_of
from ..options import BootstrapOption, ConfigOption, load_configuration, mend_topics_command, numeric

PartitionCount = Annotated[int, Meta(ge=1, le=10_000)]


def topics(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    create: Annotated[bool, typer.Option(help="Create missing topics.")] = False,
    mend: Annotated[bool, typer.Option(help="Create missing topics and correct wrong settings.")] = False,
    partitions: Annotated[
        int, numeric(PartitionCount, "Partitions of frames, state and verdicts, if the topic of the frames is missing.")
    ] = DEFAULT_PARTITIONS,
) -> None:
    """Check the topics; create or correct them with --create or --mend. Exit code 1 if a topic is not as required."""
    configuration = load_configuration(config, bootstrap_servers)
    servers, client = configuration.broker.bootstrap_servers, configuration.broker.client
    names = topics_of(configuration)
    console = Console(soft_wrap=True)
    if create or mend:
        made = ensure_topics(servers, names, partitions=partitions, client_settings=client)
        console.print(f"created {', '.join(made) or 'nothing, all topics exist'}")
    problems = check_topics(servers, names, client_settings=client)
    if mend:
        for problem in mend_topics(servers, problems, client):
            console.print(f"topic {problem.topic}: {problem.setting} is now {problem.expected}")
        problems = check_topics(servers, names, client_settings=client)
    unknown = [problem for problem in problems if problem.is_unknown]
    wrong = [problem for problem in problems if not problem.is_unknown]
    for problem in wrong:
        console.print(str(problem))
    if unknown:
        console.print(f"{len(unknown)} settings unknown: this broker does not return topic settings")
    if wrong:
        console.print(f"or let gradwatch do it: {mend_topics_command(config, bootstrap_servers)}")
        raise typer.Exit(1)
    console.print("all topics exist" + ("" if unknown else " with the expected settings"))
