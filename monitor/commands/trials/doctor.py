"""`gradwatch doctor`: checks this machine, and prints what is missing or wrong and the command that mends it."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from rich.console import Console

from gradwatch.streams.observability.logs import scrub

from ...config import Configuration, ConfigurationError
from ...doctor.checks import CHECKS, Section, run_checks
from ...doctor.report import print_report, report_tree
from ...doctor.results import CheckResult, Context, Status
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
    found = str(config) if config else "none given: defaults"
    configuration, checks = Configuration(), tuple(CHECKS)
    try:
        configuration, validity = (
            load_configuration(config, bootstrap_servers),
            CheckResult("configuration", Status.OK, found),
        )
    except ConfigurationError as error:
        checks = tuple(check for check in CHECKS if not check.configured)
        remedy = "deploy/gradwatch.yaml has all keys with comments"
        validity = CheckResult("configuration", Status.WRONG, scrub(str(error)), remedy)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # failures are in the report
    context = Context(configuration, config, mend_topics_command(config, bootstrap_servers), probe)
    sections = [Section("configuration", [validity]), *run_checks(context, checks)]
    print_report(Console(), sections)
    write_json(json, report_tree(sections))
    if any(result.is_fault for section in sections for result in section.results):
        raise typer.Exit(1)
