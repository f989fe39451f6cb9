"""`gradwatch doctor`: checks this machine, and prints what is missing or wrong and the command that mends it."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from rich.console import Console

from gradwatch.streams.observability.logs import scrub

from ...config import Configuration, ConfigurationError
from ...doctor.checks import CHECKS, run_checks
from ...doctor.report import has_fault, print_report
from ...doctor.results import Context, Result, Status
from ..options import BootstrapOption, ConfigOption, JsonOption, load_configuration, mend_topics_command, write_json


def doctor(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also read the broker's clock, by writing a record to a topic of its own.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Check what this machine has and lacks, and print what mends it. Exit code 1 if something needed is at fault."""
    configuration, checks = Configuration(), CHECKS
    try:
        configuration = load_configuration(config, bootstrap_servers)
        validity = Result("configuration", Status.OK, str(config or "none given: defaults"))
    except ConfigurationError as error:
        checks = tuple(check for check in CHECKS if not check.configured)
        remedy = "deploy/gradwatch.yaml has all keys with comments"
        validity = Result("configuration", Status.WRONG, scrub(str(error)), remedy)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # failures are in the report
    context = Context(configuration, config, mend_topics_command(config, bootstrap_servers), probe)
    sections = {"configuration": [validity], **run_checks(context, checks)}
    print_report(Console(), sections)
    is_ready = not has_fault(sections)
    write_json(json, {"ok": is_ready, "sections": sections})
    if not is_ready:
        raise typer.Exit(1)
