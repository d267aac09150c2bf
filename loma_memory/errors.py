"""Every error that the library raises on purpose.

Each message states the rule that was broken and the value that broke it. The command line prints
one line of it and exits with `exit_code`: 2 where the caller's words are at fault, 1 otherwise.
"""

from __future__ import annotations


class LomaError(Exception):
    """Base of all errors of this library."""

    exit_code = 1


class UsageError(LomaError, ValueError):
    """An argument, a setting or an input text breaks a rule; nothing was done."""

    exit_code = 2


class ModelError(LomaError):
    """A model cannot be found, read or served by this library."""


class AdapterError(LomaError):
    """An adapter is missing, damaged, or was made for another model or method."""


class DataError(LomaError):
    """A data file breaks its documented format; the message names file, line and rule."""


class StoreError(LomaError):
    """The database cannot be opened, read or written."""


class IntegrityError(StoreError):
    """Stored bytes are not what was written (checksum, chain or format); they were not used."""


class SchemaError(StoreError):
    """The database was written by another version of the schema; it was left untouched."""


class SessionNotFound(StoreError, KeyError):
    """No session of that name exists in that namespace."""

    exit_code = 2

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class HandleNotFound(StoreError, KeyError):
    """A host continues from a memory that is not in the store, and has not sent the text it stands for."""

    exit_code = 2

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class SessionConflict(StoreError):
    """Another writer moved the session's head first; this turn was not saved."""


class SessionExists(StoreError):
    """A session of that name exists already in that namespace."""

    exit_code = 2
