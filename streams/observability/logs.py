"""Structured logs on standard error that name the frame they are about and never contain a credential.

Credentials are removed in three ways: by the name of a field, by their form in any text (an address with
`user:password@`, `password=…`, an authorization header), and by their value where it is known. This is the last step
before a line is written, so it covers libraries' messages, exceptions and tracebacks too.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from json import dumps
from typing import Any

import structlog

from ..wire.messages import FrameIdentity

HIDDEN = "***"
RARELY_S = 60.0  # between two lines of a message that strangers can cause
MAX_MESSAGES = 1000  # that are remembered for it
MIN_SECRET = 4  # letters; replacing a shorter one would blank innocent words
WORDS = r"pas+w(?:or)?d|passphrase|secret|token|credential|private_?key|keyfile|api_?key|authorization"
FIELD = re.compile(WORDS + "|sasl|cookie", re.IGNORECASE)
SECRET_NAME = re.compile(WORDS, re.IGNORECASE)
USER_INFO = re.compile(r"(?<=://)\S{1,1000}@")  # to the last @: a password may contain one, and a slash too
PASSWORD = re.compile(r"://[^:@/\s]*:(\S{1,1000})@")
# All repetitions are bounded: log lines quote untrusted input, and unbounded ones would take minutes for 100 kB.
ASSIGNED = re.compile(
    rf"((?:{WORDS})[\w.-]{{0,40}}['\"\\]{{0,3}}\s{{0,4}}[:=]\s{{0,4}})(b?'(?:[^'\\]|\\.)*'|b?\"(?:[^\"\\]|\\.)*\"|[^\s,;)}}\]'\"]+)",
    re.IGNORECASE,
)
BEARER = re.compile(r"\b(Basic|Bearer) [^\s'\"]{6,}")

_known: set[str] = set()


def configure_logging(json: bool | None = None, level: int = logging.INFO) -> None:
    """Logs JSON lines, or text for a person; None: text where standard error is a terminal."""
    json = not sys.stderr.isatty() if json is None else json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # the plain traceback: rich's would show local variables, settings among them
    for_people = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    # It logs each of ten attempts a second for as long as a topic is missing.
    handler.addFilter(_OnceAMinute("kafka"))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                structlog.processors.JSONRenderer(ensure_ascii=False) if json else for_people,
            ],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    # The Kafka client logs each connection and rebalance, alembic each plug-in; only their warnings matter.
    for chatty in ("kafka", "alembic"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    # On a busy machine it warns that its own tasks took over 0.1 s: nobody who reads the log can mend that.
    logging.getLogger("kafka.net.selector").setLevel(max(level, logging.ERROR))


class _OnceAMinute(logging.Filter):
    """Lets each message pass once a minute, whatever its fields, and adds how many were held back.

    On a handler it looks at the loggers below `library` alone, and takes each place in its code for one message.
    """

    def __init__(self, library: str = "") -> None:
        super().__init__(library)
        self._logged: dict[str, tuple[float, int]] = {}  # message -> when, and how many were held back since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        if not super().filter(record):
            return True
        fields: Any = record.msg  # structlog's are dicts
        message = str(fields["event"] if isinstance(fields, dict) else fields).partition("\n")[0]
        if self.name:
            message = f"{record.pathname}:{record.lineno}"  # some libraries log texts that are formatted already
        logged_s, held = self._logged.get(message, (0.0, 0))
        if record.created - logged_s < RARELY_S:
            self._logged[message] = (logged_s, held + 1)
            return False
        if len(self._logged) >= MAX_MESSAGES:
            self._logged.clear()
        self._logged[message] = (record.created, 0)
        if held:
            record.msg = fields | {"held_back": held} if isinstance(fields, dict) else f"{fields} (and {held} more)"
        return True


def limit_logs(names: Iterable[str]) -> None:
    """Logs each message of these loggers once a minute: whoever may cause them can't fill the disk."""
    for name in names:
        logging.getLogger(name).addFilter(_OnceAMinute())


def identify(identity: FrameIdentity | None) -> None:
    """From now on this thread's logs name the frame; None: no frame."""
    if identity is None:
        structlog.contextvars.unbind_contextvars("stream", "run", "seq")
    else:
        structlog.contextvars.bind_contextvars(stream=identity.stream_id, run=identity.run_id, seq=identity.seq)


def hide(secrets: Iterable[str]) -> None:
    """Removes these texts from all later lines; those below `MIN_SECRET` only by the name of their field."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET:
            _known.update({secret, repr(secret)[1:-1], dumps(secret)[1:-1]})


def hide_credentials(settings: Mapping[str, Any]) -> None:
    """Hides the passwords in a client's settings, also those in addresses."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            hide_credentials(value)
        elif isinstance(value, str):
            hide([value] if SECRET_NAME.search(name) else PASSWORD.findall(value))


def scrub(text: str) -> str:
    """`text` without credentials: known ones, and whatever has the form of one."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = USER_INFO.sub(HIDDEN + "@", text)
    return ASSIGNED.sub(rf"\1{HIDDEN}", BEARER.sub(rf"\1 {HIDDEN}", text))


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: returns the event without credentials."""
    return dict(_redacted(event))


def _redacted(fields: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for name, value in fields.items():
        yield name, HIDDEN if isinstance(name, str) and FIELD.search(name) else _without_secrets(value)


def _without_secrets(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return dict(_redacted(value))
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets(inner) for inner in value]
    return scrub(repr(value))  # the text of settings and exceptions includes their fields
