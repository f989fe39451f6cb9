"""Errors of actions on the review database; the API answers each with its own status."""

from __future__ import annotations

from gradwatch import GradwatchError


class NotFoundError(GradwatchError, LookupError):
    """The subject of an action does not exist; the message says what was expected."""


class InvalidRequestError(GradwatchError, ValueError):
    """An action with arguments that can't be right; the message says why."""


class ConflictError(InvalidRequestError):
    """An action that the present state of the database does not allow."""
