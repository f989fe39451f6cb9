"""`gradwatch doctor`: what this machine has, what is missing or wrong, and the command that mends it."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console

from gradwatch.streams.observability.logs import scrub

from ...config import Configuration, ConfigurationError, load
from ...doctor.examination import CHECKS, Section, examine
from ...doctor.findings import Finding, Scope, Status
from ...doctor.rendering import as_json, print_report
from ..options import BootstrapOption, ConfigOption, JsonOption
from ..streams.topics import mending_command


def doctor(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also read the broker's clock, with a record in a topic made for it.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Say what this machine has and lacks, and what mends it. Exit code 1 where something needed must be mended."""
    found = str(config) if config else "none given: the defaults"
    try:
        configuration, validity = load(config), Finding("configuration", Status.OK, found)
    except ConfigurationError as error:
        # what does not depend on it is still worth knowing
        configuration = Configuration()
        remedy = "deploy/gradwatch.yaml has all keys with comments"
        validity = Finding("configuration", Status.WRONG, scrub(str(error)), remedy)
    if bootstrap_servers:
        named = replace(configuration.broker, bootstrap_servers=bootstrap_servers)
        configuration = replace(configuration, broker=named)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what fails is a row already
    scope = Scope(configuration, config, mending_command(config, bootstrap_servers), probe)
    checks = CHECKS if validity.status is Status.OK else tuple(check for check in CHECKS if not check.configured)
    sections = [Section("configuration", [validity]), *examine(scope, checks)]
    print_report(Console(), sections)
    if json is not None:
        json.write_bytes(as_json(sections))
    if any(finding.is_fault for section in sections for finding in section.findings):
        raise typer.Exit(1)
