"""The link that lets in whoever starts `gradwatch review`, printed, or in a file that only they can read."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from gradwatch import GradwatchError

from ...review.service import ReviewService

PARAMETER = "?token="


class LinkFileError(GradwatchError):
    """The file of the link can't be written; the message says why."""


def secret_in(file: Path) -> str | None:
    """The secret in a file of `tell_link`, so that a restart ends no session; None for one that others could write."""
    try:
        found = file.stat()
        if found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return file.read_text().rpartition(PARAMETER)[2].strip() or None
    except (OSError, ValueError):
        pass
    return None


def tell_link(service: ReviewService, address: str, file: Path | None) -> None:
    """Prints the link, or writes it to `file` atomically; does nothing where people have to log in.

    Raises LinkFileError.
    """
    if not service.takes_link():
        return
    link = f"{address}{PARAMETER}{service.secret}"
    if file is None:
        typer.echo(f"Open this link; whoever has it is admin here:\n\n    {link}\n")
        return
    partial = file.with_name(file.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(link + "\n")
        partial.replace(file)
    except OSError as error:
        raise LinkFileError(f"--link-file: expected a file that can be written, got {error}") from error
    typer.echo(f"The link of an admin is in {file}")
