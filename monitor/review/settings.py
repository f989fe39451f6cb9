"""The section `review` of the configuration; needs no package of the extra `review`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Annotated

from msgspec import Meta, Struct

from gradwatch.ranges import Bytes, Port

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """How long alerts are kept; `review/store/retention.py` defines the order of deletion."""

    days: Annotated[float, Meta(gt=0, le=36_525)] = 365.0  # reviewed alerts that were raised earlier are deleted
    max_alerts: Annotated[int, Meta(ge=1, le=10_000_000)] = 200_000  # beyond it the oldest go, reviewed ones first


class ReviewSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How the review page and its API are served."""

    host: str = "127.0.0.1"  # any address but loopback requires log-in
    port: Port = 8080
    database: str = "sqlite:///review.db"  # or postgresql://user:password@host/name
    evidence: str = "evidence"  # the folder of `gradwatch evidence`
    truth: str | None = None  # a folder with tags and ground truth of replayed recordings
    login: bool = False  # requires log-in on loopback too
    allowed_hosts: tuple[str, ...] = ()  # accepted names in the Host header, beside those of loopback
    trusted_proxies: tuple[str, ...] = ()  # networks (CIDR) whose user header is believed; all others log in
    user_header: str = "X-Remote-User"
    retention: Retention = Retention()
    max_cameras: Annotated[int, Meta(ge=1, le=100_000)] = 200  # in the live view; the one silent longest goes
    forget_cameras_after_s: Annotated[float, Meta(ge=1, le=31_536_000)] = 86_400.0  # silence; its alerts stay
    max_live_bytes: Bytes = 256 * 1024 * 1024
    metrics_port: Port | None = None  # serves /metrics, /healthz and /readyz, also while the page's port is overrun
    metrics_address: str = "127.0.0.1"  # address of that port; "0.0.0.0" where Prometheus runs elsewhere

    def __post_init__(self) -> None:
        for network in self.trusted_proxies:
            ip_network(network)  # raises ValueError that names the fault
        if self.trusted_proxies and not self.user_header:
            raise ValueError("user_header: expected the header in which trusted_proxies name the user, got none")

    def __repr__(self) -> str:
        return f"ReviewSettings(host={self.host!r}, port={self.port})"  # the URL of a database holds its password

    @property
    def demands_login(self) -> bool:
        """Whether visitors must log in: not on loopback, unless configured or behind a trusted proxy."""
        return self.login or bool(self.trusted_proxies) or not is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
