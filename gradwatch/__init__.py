"""gradwatch: gradients at inference as a monitor for networks that look at the road."""

__version__ = "0.1.0"


class GradwatchError(Exception):
    """An error that a user can mend: the message says what was expected, what was found, and what to do.

    The command line prints these, and only these, in one line. Anything else is a fault of gradwatch.
    """


class MissingFileError(GradwatchError, FileNotFoundError):
    """A file or folder that the user named, or that the package should hold, does not exist."""


class MissingPackageError(GradwatchError, ModuleNotFoundError):
    """An optional package is not installed; the message has the command that installs it."""
