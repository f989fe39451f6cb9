"""`gradwatch dlq …`: inspect dead letters and requeue them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Meta
from rich.console import Console

from gradwatch.streams.dead_letters import Letter, NotRequeueableError, read_letter, requeue
from gradwatch.streams.transport.history import TopicHistory
from gradwatch.streams.transport.producer import BoundedProducer, RecordTooLargeError
from gradwatch.streams.wire.messages import OutcomeCause
from gradwatch.streams.wire.topics import Topics

from ...config import BrokerSettings
from ...letters import LetterFilter, by_stream, details, table
from ...worker.build import topics_of
from ..options import BootstrapOption, ConfigOption, JsonOption, load_configuration, numeric, write_json, write_output

dlq = typer.Typer(help="Inspect the records that could not be processed, and requeue them.", no_args_is_help=True)

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PLACE = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")
UNFOLDED = 10_000  # columns where the list goes into a file or a pipe
ACKNOWLEDGED_S = 30.0  # timeout of the acknowledgments of requeued records

LetterCount = Annotated[int, Meta(ge=1, le=100_000)]
StreamOption = Annotated[str | None, typer.Option("--stream", help="Only dead letters of this stream.")]
CauseOption = Annotated[OutcomeCause | None, typer.Option(help="Only dead letters with this cause.")]
SinceOption = Annotated[str | None, typer.Option(help="Only newer ones: 30m, 12h, 7d, or since 2026-09-21T14:00.")]


@dlq.command("list")
def list_letters(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    stream: StreamOption = None,
    cause: CauseOption = None,
    since: SinceOption = None,
    limit: Annotated[int, numeric(LetterCount, "Most dead letters to list.")] = 50,
    json: JsonOption = None,
) -> None:
    """List the dead letters, newest first, and how many each stream has of them."""
    broker, topics = _broker(config, bootstrap_servers)
    wanted = LetterFilter(stream, cause, _since_ms(since))
    with TopicHistory(broker.bootstrap_servers, topics.dlq, broker.client) as history:
        found = list(islice(history.newest_first(wanted.summary), limit))
    write_json(json, found)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = UNFOLDED
    if not found:
        console.print(f"no such dead letters on {topics.dlq}")
        return
    console.print(table(found))
    for line in by_stream(found):
        console.print(line, markup=False, soft_wrap=True)
    if len(found) == limit:
        console.print(f"stopped at {limit}; for more use --limit or --since")


@dlq.command()
def show(
    place: Annotated[str, typer.Argument(help="PARTITION:OFFSET, as in the list.")],
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    save: Annotated[Path | None, typer.Option(help="Write the value's original bytes to this file.")] = None,
) -> None:
    """Show one dead letter: the reason, the headers and the start of the value."""
    broker, topics = _broker(config, bootstrap_servers)
    with TopicHistory(broker.bootstrap_servers, topics.dlq, broker.client) as history:
        letter = _letter(history, topics, place)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in details(letter):
        console.print(line)
    if save is not None and "value" in letter.left_out:
        raise typer.BadParameter(f"the value of {letter.place} was left out for size and can't be saved")
    if save is not None:
        write_output(save, letter.record.value or b"")
        console.print(f"written to {save}")


@dlq.command("requeue")
def requeue_letters(
    places: Annotated[list[str] | None, typer.Argument(help="PARTITION:OFFSET …, as in the list.")] = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    cause: CauseOption = None,
    stream: StreamOption = None,
    since: SinceOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="All dead letters, or all that match --cause, --stream and --since.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
) -> None:
    """Publish dead letters again, unchanged; the header dlq_requeued counts how often. They stay on the list."""
    if bool(places) == (every or cause is not None):
        raise typer.BadParameter("expected either PARTITION:OFFSET … or --cause or --all")
    broker, topics = _broker(config, bootstrap_servers)
    wanted = LetterFilter(stream, cause, _since_ms(since))
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with TopicHistory(broker.bootstrap_servers, topics.dlq, broker.client) as history:
        count = len(places) if places else sum(1 for _ in _matching(history, wanted))
        question = f"Publish {count} dead letters again to {topics.frames}?"
        if not count:
            console.print(f"no such dead letters on {topics.dlq}")
        elif yes or typer.confirm(question, err=True):
            letters = (_letter(history, topics, place) for place in places) if places else _matching(history, wanted)
            _requeue(letters, broker, topics, console)


def _requeue(letters: Iterator[Letter], broker: BrokerSettings, topics: Topics, console: Console) -> None:
    sent, refused = [], 0
    with BoundedProducer(broker.bootstrap_servers, broker.client) as producer:
        for letter in letters:
            try:
                sent.append(requeue(letter, topics, producer))
            except (NotRequeueableError, RecordTooLargeError) as error:
                refused += 1
                console.print(f"not published: {error}")
        producer.flush(ACKNOWLEDGED_S)
    failed = sum(not delivery.done() or delivery.exception is not None for delivery in sent)
    console.print(f"{len(sent) - failed} published to {topics.frames}, {refused} refused, {failed} not acknowledged")
    if refused or failed:
        raise typer.Exit(1)


def _broker(config: Path | None, bootstrap_servers: str | None) -> tuple[BrokerSettings, Topics]:
    configuration = load_configuration(config, bootstrap_servers)
    return configuration.broker, topics_of(configuration)


def _matching(history: TopicHistory, wanted: LetterFilter) -> Iterator[Letter]:
    """The letters that match, oldest first, so that a stream's frames keep their order."""
    return (letter for record in history.oldest_first() if (letter := wanted.match(record)) is not None)


def _letter(history: TopicHistory, topics: Topics, place: str) -> Letter:
    match = PLACE.fullmatch(place)
    if match is None:
        raise typer.BadParameter(f"expected PARTITION:OFFSET like 0:41, got {place!r}")
    record = history.at(int(match[1]), int(match[2]))
    if record is None:
        raise typer.BadParameter(f"expected a dead letter at {place} of {topics.dlq}, got none; see gradwatch dlq list")
    return read_letter(record)


def _since_ms(since: str | None) -> int:
    if since is None:
        return 0
    ago = re.fullmatch(r"([0-9]{1,9})([smhd])", since)
    if ago is not None:
        return int(1000 * (time.time() - int(ago[1]) * SECONDS[ago[2]]))
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise typer.BadParameter(f"--since: expected 30m, 12h, 7d or a time in ISO 8601, got {since!r}") from None
    return int(1000 * (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
