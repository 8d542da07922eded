"""How a library's table of solvers gets into the registry, without an import of the library."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from nmdl_bench.contracts import SOLVERS, ConfigurationError, Solver

Options = Callable[..., dict[str, Any]]
"""Our names and types of a solver's options as parameters; returns the library's names and values."""


def none() -> dict[str, Any]:
    """A solver without options."""
    return {}


def at_least(least: int, **options: int) -> None:
    """Raise a ConfigurationError where an option is less."""
    for name, value in options.items():
        if value < least:
            raise ConfigurationError(f"{name} must be at least {least}, not {value!r}")


def between(low: float, high: float, **options: float) -> None:
    """Raise a ConfigurationError where an option is not in ``[low, high)``."""
    for name, value in options.items():
        if not low <= value < high:
            raise ConfigurationError(f"{name} must be at least {low:g} and less than {high:g}, not {value!r}")


def positive(**options: float) -> None:
    """Raise a ConfigurationError where an option is not positive."""
    for name, value in options.items():
        if not value > 0:
            raise ConfigurationError(f"{name} must be positive, not {value!r}")


def one_of(choices: Iterable[str], **options: str) -> None:
    """Raise a ConfigurationError where an option is none of the choices."""
    for name, value in options.items():
        if value not in choices:
            raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


class Table:
    """Solvers of one library.

    Parameters
    ----------
    library : str
        Name of the folder here that adapts it.
    requires : tuple of str
        What has to be installed, by import name.
    backends : tuple of str
        Array libraries that its solvers take objectives of; ``("*",)`` for any.
    """

    def __init__(self, library: str, requires: tuple[str, ...], backends: tuple[str, ...]) -> None:
        self.library, self.requires, self.backends = library, requires, backends

    def add(
        self,
        name: str,
        summary: str,
        adapter: str,
        method: str,
        options: Options = none,
        *,
        batches: bool = False,
        needs: Iterable[str] = (),
        accepts: Iterable[str] = (),
    ) -> None:
        """Register one solver.

        Parameters
        ----------
        name, summary : str
            Shown in listings.
        adapter : str
            ``"module.Class"`` in the library's folder; made as ``Class(method, options)``, or where it takes batches
            as ``Class(method, batch_size, options)``.
        method : str
            The library's name of the solver.
        options : callable
            Its parameters are the solver's options with their types and defaults.
        batches : bool
            Whether it takes mini-batches, and the option ``batch_size``.
        needs, accepts : iterable of str
            Structure; see :data:`nmdl_bench.contracts.Structure`. The class says the same of itself.
        """
        size = inspect.Parameter("batch_size", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=int | None)
        hints, parameters = typing.get_type_hints(options), inspect.signature(options).parameters
        known = [
            parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[option])
            for option, parameter in parameters.items()
        ] + [size] * batches
        module, _, cls = adapter.partition(".")

        def make(**given: Any) -> Solver:
            sizes = (given.pop("batch_size", None),) if batches else ()
            values = options(**given)
            adapt = getattr(import_module(f"nmdl_bench.peers.{self.library}.{module}"), cls)
            return typing.cast(Solver, adapt(method, *sizes, values))

        make.__signature__ = inspect.Signature(known)  # type: ignore[attr-defined]
        make.__annotations__ = {option.name: option.annotation for option in known}
        make.__module__ = f"nmdl_bench.peers.{self.library}"
        about: dict[str, Any] = {"requires": self.requires, "backends": self.backends, "kind": "peer"}
        SOLVERS.register(name, summary, needs=tuple(needs), accepts=tuple(accepts), **about)(make)
