"""Connects to brokers, and turns every reason for failure into one error that a person can act on, quickly.

kafka-python's clients retry until their timeout, whatever the reason, and then report only that they could not
bootstrap: a wrong password costs ten attempts, and perhaps the account. So a test connection is made before every
client: where waiting may help it is retried, everything else raises at once.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kafka.errors import (
    AuthorizationError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    GroupMaxSizeReachedError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    KafkaConfigurationError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from gradwatch import GradwatchError

from .client.header_names import read_any_header_name
from .client.settings import Settings, settings_for
from .client.unreadable import name_unreadable_batches

Client = TypeVar("Client")

TIMEOUT_MS = 8_000  # with the start of Python, an answer within 10 s
RETRY_AFTER_S = 0.5  # between rounds over the servers
MAX_CUT_OFF = 3  # connections closed during authentication before the credentials count as wrong


class BrokerUnavailableError(GradwatchError):
    """The broker did not answer in time, or the topic does not exist; waiting may help."""

    cause = "broker_unavailable"


class TopicMissingError(GradwatchError, ValueError):
    """The topic, or a partition of it, does not exist."""


class BrokerRefusedError(GradwatchError):
    """Broker or client refused the connection: credentials, certificates or settings. Waiting does not help."""


GROUP_REFUSALS = {
    InconsistentGroupProtocolError: (
        "is used by a client of another kind (another assignor, or group.protocol=consumer), with which it can't share "
        "partitions; stop that client, or give this one a group of its own. Who it is: kafka-consumer-groups.sh "
        "--describe --members --group {group}"
    ),
    FencedInstanceIdError: "has another member with the same instance_id; give each member one of its own",
    GroupAuthorizationFailedError: "may not be read by this user; permit it READ on the group",
    GroupMaxSizeReachedError: "has as many members as the broker permits (group.max.size)",
    InvalidGroupIdError: "has no valid name",
    InvalidSessionTimeoutError: "has a session timeout outside of the broker's range (group.*.session.timeout.ms)",
}


class GroupRefusedError(GradwatchError):
    """This member can't join its consumer group; the message has the reason and what to do."""


def connect(client: Callable[..., Client], bootstrap_servers: str, settings: Settings) -> Client:
    """Returns a client, with those of the settings that it knows, once a server accepts connections.

    Servers are tried in turn for `bootstrap_timeout_ms` (8 s unless set). Raises `BrokerUnavailableError` where none
    answers by then, `BrokerRefusedError` at once where one refuses; neither message contains a credential.
    """
    read_any_header_name()
    name_unreadable_batches()
    settings = {"bootstrap_timeout_ms": TIMEOUT_MS} | dict(settings)
    wait_until_accepted(bootstrap_servers, settings, settings["bootstrap_timeout_ms"] / 1000)
    try:
        return client(bootstrap_servers=bootstrap_servers, **settings_for(client, settings))
    except KafkaTimeoutError as error:
        raise BrokerUnavailableError(f"expected a Kafka broker at {bootstrap_servers}, got none: {error}") from error
    except (KafkaConfigurationError, ValueError, AssertionError) as error:
        raise BrokerRefusedError(f"broker.client: expected settings of kafka-python's clients, got {error}") from None


def wait_until_accepted(bootstrap_servers: str, settings: Settings, timeout_s: float) -> None:
    """Returns once a connection, with TLS and SASL as set, was made and closed again. Raises as `connect`."""
    deadline_s = time.monotonic() + timeout_s
    cut_off = 0
    while True:
        failure = _try_servers(bootstrap_servers, settings, deadline_s)
        if failure is None:
            return
        refusal = _refusal(failure, settings)
        cut_off += _authenticates(settings) and "socket disconnected" in str(failure)
        if refusal is None and cut_off == MAX_CUT_OFF:
            # Some brokers close the connection so early that their answer is lost.
            refusal = f"closed the connection during authentication: {_credentials(settings)} may be wrong"
        if refusal is not None:
            raise BrokerRefusedError(f"{bootstrap_servers}: {refusal}") from None
        if time.monotonic() + RETRY_AFTER_S > deadline_s:
            raise BrokerUnavailableError(
                f"expected a Kafka broker at {bootstrap_servers}, got none: {_explain(failure, settings)}"
            ) from None
        time.sleep(RETRY_AFTER_S)


def _try_servers(bootstrap_servers: str, settings: Settings, deadline_s: float) -> Exception | None:
    """None if a server accepts a connection, else the last one's error; a refusal ends the round."""
    network = NetworkSelector()
    failure: Exception | None = None
    try:
        with _client_logs_off:
            manager = KafkaConnectionManager(network, bootstrap_servers=bootstrap_servers, **settings)
            for server in manager.cluster.bootstrap_brokers():
                left_ms = max(100.0, 1000 * (deadline_s - time.monotonic()))
                try:
                    network.run(_connect_to, manager, server.node_id, left_ms)
                except Exception as error:
                    failure = error
                    if _refusal(error, settings) is not None:
                        break
                else:
                    failure = None
                    break
            manager.close()
    except (ValueError, AssertionError) as error:
        return error
    finally:
        network.close()
    return failure


async def _connect_to(manager: Any, node_id: str, timeout_ms: float) -> None:
    await manager.get_connection(node_id, timeout_ms=timeout_ms, pop_on_close=False, refresh_metadata_on_err=False)


def _refusal(failure: Exception, settings: Settings) -> str | None:
    """What was refused, as text; None where waiting may help."""
    if isinstance(failure, UnsupportedSaslMechanismError):
        return f"does not offer sasl_mechanism {settings.get('sasl_mechanism')}"
    if isinstance(failure, SaslAuthenticationFailedError | AuthorizationError):
        return f"refused {_credentials(settings)}"
    if isinstance(failure, ValueError | AssertionError):
        return f"broker settings can't be used: {failure}"
    if isinstance(failure, FileNotFoundError | PermissionError | ssl.SSLError):
        files = [str(settings[name]) for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile") if settings.get(name)]
        return f"can't read {', '.join(files)}: {failure.strerror or failure}"
    return _tls_refusal(failure.__context__, settings)


def _tls_refusal(failure: BaseException | None, settings: Settings) -> str | None:
    """Why the TLS handshake can't succeed; None for any other error."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        authority = settings.get("ssl_cafile") or "the system's authorities"
        return f"its certificate is not trusted by {authority}: {failure.verify_message}"
    if isinstance(failure, ssl.SSLError) and failure.reason == "WRONG_VERSION_NUMBER":
        return f"this listener does not expect security_protocol {settings.get('security_protocol')}"
    return None


def _credentials(settings: Settings) -> str:
    user, mechanism = settings.get("sasl_plain_username"), settings.get("sasl_mechanism")
    return f"user {user!r}, the password or sasl_mechanism {mechanism}"


def _authenticates(settings: Settings) -> bool:
    return str(settings.get("security_protocol", "")).startswith("SASL")


def _explain(failure: Exception, settings: Settings) -> str:
    """The error's message without the name of its class, and what it may mean."""
    text = str(failure).removeprefix(f"{type(failure).__name__}: ")
    if (number := re.fullmatch(r"(\d+) E[A-Z]+", text)) is not None:
        text = os.strerror(int(number[1]))
    encrypts = str(settings.get("security_protocol", "")).endswith("SSL")
    if not encrypts and ("socket disconnected" in text or _is_tls_alert(text)):
        text += "; a listener that expects TLS closes connections without it"
    if encrypts and "UNEXPECTED_EOF" in text:
        text += f"; a listener that does not expect {settings['security_protocol']} closes connections with it"
    return text


def _is_tls_alert(text: str) -> bool:
    """Whether the client took the first bytes of a TLS alert, 15 03 hexadecimal, for the length of a response."""
    length = re.search(r"Invalid frame length: (\d+)", text)
    return length is not None and int(length[1]) >> 16 == 0x1503


class _ClientLogsOff:
    """The client logs every failed attempt as an error; we report the outcome once. Several threads may connect."""

    def __init__(self) -> None:
        self._lock, self._threads, self._level = threading.Lock(), 0, logging.NOTSET
        self._logger = logging.getLogger("kafka")

    def __enter__(self) -> None:
        with self._lock:
            if self._threads == 0:
                self._level = self._logger.level
                self._logger.setLevel(logging.CRITICAL)
            self._threads += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._threads -= 1
            if self._threads == 0:
                self._logger.setLevel(self._level)


_client_logs_off = _ClientLogsOff()
