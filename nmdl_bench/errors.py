"""Errors raised on purpose: one sentence that names the thing, its value and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NmdlError(Exception):
    """Base of every error that this package raises on purpose: one sentence with the thing, its value, the way out."""


class UnknownNameError(NmdlError, ValueError):
    """A problem, solver, backend or option that is not known; the message offers the nearest name."""


class ConfigurationError(NmdlError, ValueError):
    """A value that cannot work: a malformed experiment file, a negative width, an option of the wrong type."""


class DataError(NmdlError, OSError):
    """A data file that is missing, truncated or not what its name says."""


class UnavailableError(NmdlError, ImportError):
    """An array library or device that is not installed or not usable here."""


class StoreError(NmdlError, OSError):
    """The results store cannot be opened, read or written."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """An :class:`UnknownNameError` for ``name`` that suggests the nearest of ``known``, in whatever case."""
    names = sorted(known)
    lowered = {known_name.lower(): known_name for known_name in names}
    near = difflib.get_close_matches(str(name).lower(), lowered, n=1)
    hint = f"did you mean {lowered[near[0]]!r}? " if near else ""
    return UnknownNameError(f"unknown {kind} {str(name)!r}; {hint}known: {', '.join(names)}")
