"""`gradwatch review`: serves the review page and its API, manages their users, and measures the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Meta
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table
from sqlalchemy.orm import Session

from gradwatch import MissingFileError
from gradwatch.ranges import Port

from ...bench.broker_setup import open_broker, temporary_topics
from ...bench.review import bench_review, review_report
from ...config import Configuration, load
from ...review.api import server
from ...review.feed.broker import Broker
from ...review.service import ReviewService
from ...review.settings import ReviewSettings
from ...review.store.audit import Actor, Role
from ...review.store.database import Database
from ...review.store.errors import InvalidRequestError
from ...worker.build import topics_of
from ...worker.startup import limit_arenas
from ..options import BootstrapOption, ConfigOption, JsonOption, MetricsPortOption, numeric
from .link import secret_in, tell_link

review = typer.Typer(help="Serve the review page, or manage its users.", invoke_without_command=True)
users = typer.Typer(help="Manage the users: viewers look, reviewers act, admins do everything.", no_args_is_help=True)
review.add_typer(users, name="users")

DatabaseOption = Annotated[
    str | None, typer.Option("--database", help="sqlite:///FILE or postgresql://…; overrides review.database.")
]
RequestRounds = Annotated[int, Meta(ge=5, le=1000)]
RoleOption = Annotated[str, typer.Option(help="viewer, reviewer or admin.")]
NameArgument = Annotated[str, typer.Argument(help="The user's name.")]
PasswordOption = Annotated[
    Path | None, typer.Option("--password-file", help="Read the password from this file instead of asking for it.")
]


@review.callback()
def serve(
    context: typer.Context,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    host: Annotated[str | None, typer.Option(help="Address to serve at; any but loopback requires log-in.")] = None,
    port: Annotated[int | None, numeric(Port, "Port to serve at; 0 takes a free one.")] = None,
    database: DatabaseOption = None,
    evidence: Annotated[Path | None, typer.Option(help="Folder of `gradwatch evidence`.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Folder with ground truth of replayed recordings.")] = None,
    login: Annotated[bool, typer.Option("--login", help="Require log-in on loopback too.")] = False,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option(help="Network (CIDR) of a proxy that authenticates users.")
    ] = None,
    user_header: Annotated[str | None, typer.Option(help="Header in which such a proxy names the user.")] = None,
    link_file: Annotated[
        Path | None,
        typer.Option(help="Write the link to this file, for you alone, instead of printing it; a restart keeps it."),
    ] = None,
    metrics_port: MetricsPortOption = None,
) -> None:
    """Serve the review page until stopped (SIGTERM or Ctrl-C)."""
    if context.invoked_subcommand is not None:
        return
    limit_arenas()
    configuration = load(config)
    settings = replace(
        _settings(configuration, database),
        **_given(
            host=host,
            port=port,
            evidence=None if evidence is None else str(evidence),
            truth=None if truth is None else str(truth),
            login=login or None,
            trusted_proxies=None if not trusted_proxy else tuple(trusted_proxy),
            user_header=user_header,
            metrics_port=metrics_port,
        ),
    )
    servers = bootstrap_servers or configuration.broker.bootstrap_servers
    broker = Broker(servers, configuration.broker.client, topics_of(configuration))
    with server.bind(settings.host, settings.port) as listening:
        service = ReviewService(settings, broker, None if link_file is None else secret_in(link_file))
        tell_link(service, server.address_of(listening), link_file)
        server.serve(service, listening)


@users.command("add")
def add(
    name: NameArgument,
    role: RoleOption = "reviewer",
    config: ConfigOption = None,
    database: DatabaseOption = None,
    password_file: PasswordOption = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Let them in through a trusted proxy only.")
    ] = False,
) -> None:
    """Add a user; asks for their password."""
    password = None if no_password else _password(password_file)
    with _writing(config, database) as (session, actor):
        from ...review.store.accounts import add_user

        add_user(session, actor, name, _role(role), password)
    typer.echo(f"added {name}, {role}")


@users.command("list")
def list_users(config: ConfigOption = None, database: DatabaseOption = None) -> None:
    """List the users."""
    with _writing(config, database) as (session, _):
        from ...review.store import accounts

        table = Table("user", "role", "logs in by")
        for user in accounts.list_users(session):
            table.add_row(user.username, user.role, "proxy" if user.password_hash is None else "password")
    Console().print(table)


@users.command("passwd")
def passwd(
    name: NameArgument,
    config: ConfigOption = None,
    database: DatabaseOption = None,
    password_file: PasswordOption = None,
) -> None:
    """Set a user's password and end their sessions; asks for the password."""
    password = _password(password_file)
    with _writing(config, database) as (session, actor):
        from ...review.store.accounts import set_password

        set_password(session, actor, name, password)
    typer.echo(f"{name} has a new password")


@users.command("remove")
def remove(name: NameArgument, config: ConfigOption = None, database: DatabaseOption = None) -> None:
    """Remove a user and end their sessions; their name stays in the audit trail."""
    with _writing(config, database) as (session, actor):
        from ...review.store.accounts import remove_user

        remove_user(session, actor, name)
    typer.echo(f"removed {name}")


def _settings(configuration: Configuration, database: str | None) -> ReviewSettings:
    settings = configuration.review
    return settings if database is None else replace(settings, database=database)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _password(file: Path | None) -> str:
    if file is None:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    try:
        return file.read_text().rstrip("\n")
    except FileNotFoundError:
        raise MissingFileError(f"--password-file: expected a file with the password, found none at {file}") from None
    except OSError as error:
        raise InvalidRequestError(f"--password-file: expected a file that can be read, got {error}") from None
    except UnicodeDecodeError:  # whose message quotes the file
        raise InvalidRequestError(f"--password-file: expected UTF-8 text, got other bytes in {file}") from None


def _role(name: str) -> Role:

    if name not in list(Role):
        raise InvalidRequestError(f"role: expected one of {', '.join(Role)}, got {name!r}")
    return Role(name)


@contextmanager
def _writing(config: Path | None, database: str | None) -> Iterator[tuple[Session, Actor]]:
    """A transaction in the review database, with the rights of an admin."""

    opened = Database(_settings(load(config), database).database)
    try:
        with opened.writing() as session:
            yield session, Actor("command", Role.ADMIN, "command")
    finally:
        opened.close()


@review.command("bench")
def bench(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    database: Annotated[
        list[str] | None, typer.Option(help="An empty database to measure; default: a new SQLite file.")
    ] = None,
    rounds: Annotated[int, numeric(RequestRounds, "How often each request is repeated.")] = 40,
    json: JsonOption = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write a report to this file.")] = None,
) -> None:
    """Measure the server with 10,000 alerts and 50 cameras; starts a broker unless one is named."""

    with TemporaryDirectory() as folder:
        figures = []
        with open_broker(load(config), bootstrap_servers) as (at, _), temporary_topics(at, 1) as (own, topics):
            for url in database or [f"sqlite:///{folder}/review.db"]:
                broker = Broker(own.broker.bootstrap_servers, own.broker.client, topics)
                figures.append(bench_review(url, broker, rounds))
        report = review_report(figures, "make bench-review")
        if json is not None:
            json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
        if markdown is not None:
            markdown.write_text(report)
        typer.echo(report)
