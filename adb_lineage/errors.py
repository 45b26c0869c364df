"""Errors, typed by what the caller can do about them.

    AdbLineageError
    ├── SettingsError     a setting is wrong: correct it and start again
    ├── RetryLater        nothing is wrong with the request: send the same again, later
    ├── FixNeeded         somebody has to change rights, network or configuration; keep the work until then
    └── GiveUp            this one event or entity can never be accepted: set it aside, go on with the others

Every message names the thing, the value and the mend.
"""
from __future__ import annotations

from typing import Optional


class AdbLineageError(Exception):
    """Base of all errors that this package raises on purpose."""


class SettingsError(AdbLineageError, ValueError):
    """A setting has an unknown key or a bad value."""


class RetryLater(AdbLineageError):
    """The other side is busy, away or throttling; `retry_after` is its own wish in seconds, if it gave one."""

    def __init__(self, message: str, retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FixNeeded(AdbLineageError):
    """Rights, identity, network or the account's type definitions must be changed by somebody first."""


class GiveUp(AdbLineageError):
    """The other side refuses this one item for what it is; a repetition cannot help."""
