"""Names to what they make: the registries of problems and solvers, which plug-in files add to."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nmdl_bench.errors import ConfigurationError, unknown

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One named problem or solver: how it is made, and what `nmdl-bench list` says of it."""

    name: str
    summary: str
    make: Callable[..., T]
    requires: tuple[str, ...] = ()
    """Libraries that must be installed (``"optax"``), by import name."""
    backends: tuple[str, ...] = ("numpy", "torch", "jax", "cupy")
    """Array libraries it runs on; ``("*",)`` for any."""
    kind: str = ""
    """Group shown in listings, such as ``"ours"`` or ``"peer"``."""
    provides: tuple[str, ...] | Callable[[dict[str, Any]], tuple[str, ...]] = ()
    """Structure that a problem has, maybe by its options; see :data:`nmdl_bench.contracts.Structure`."""
    needs: tuple[str, ...] = ()
    """Structure that a solver requires of a problem."""
    accepts: tuple[str, ...] = ()
    """Structure that a solver makes use of where a problem has it: ``"composite"`` or ``"bounds"``."""

    def runs_on(self, library: str) -> bool:
        """Whether the named array library is among those it runs on."""
        return "*" in self.backends or library in self.backends

    def structure(self, options: dict[str, Any]) -> tuple[str, ...]:
        """What a problem provides that is made with ``options``."""
        return self.provides(options) if callable(self.provides) else self.provides


def mismatch(provides: Sequence[str], needs: Sequence[str], accepts: Sequence[str] = ()) -> str:
    """Why a solver that needs and accepts the others cannot minimise a problem that provides the one; or empty."""
    missing = [structure for structure in needs if structure not in provides]
    if missing:
        return f"it needs {' and '.join(missing)}, which the problem does not provide"
    minimised = {"composite", "bounds"} & set(provides) & {*needs, *accepts}
    if "composite" in provides and not minimised:
        return "it is for smooth problems, and this one has bounds or a term that is not smooth"
    return ""


class Registry(Generic[T]):
    """Names to entries, in order of registration. A plug-in file adds to the very same registries."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str, summary: str, **options: Any) -> Callable[[F], F]:
        """Decorator: ``@PROBLEMS.register("my-problem", "one line about it")`` above a factory."""

        def add(make: F) -> F:
            if name in self._entries and self._entries[name].make.__module__ != make.__module__:
                raise ConfigurationError(f"{self.kind} {name!r} is registered already; choose another name")
            for structure in ("needs", "accepts"):
                options.setdefault(structure, tuple(getattr(make, structure, ())))
            self._entries[name] = Entry(name, summary, make, **options)
            return make

        return add

    def __getitem__(self, name: str) -> Entry[T]:
        try:
            return self._entries[name]
        except KeyError:
            raise unknown(self.kind, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Any:
        return iter(self._entries.values())

    def options(self, name: str) -> tuple[str, ...] | None:
        """Names of the options that ``name`` takes, by its ``make.options`` or its signature; None for any."""
        make = self[name].make
        if hasattr(make, "options"):
            return tuple(make.options)
        parameters = inspect.signature(make).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        return None if takes_any else tuple(parameters)

    def make(self, name: str, /, **options: Any) -> T:
        """Build ``name`` with ``options``.

        Raises
        ------
        UnknownNameError
            The name, or an option that it does not take.
        ConfigurationError
            An option's value cannot work.
        """
        checked = self.check(name, options)
        try:
            return self[name].make(**checked)
        except TypeError as error:
            raise ConfigurationError(f"{self.kind} {name!r} cannot be made with {options!r}: {error}") from error

    def check(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options, where ``name`` takes them and each is of the type it is annotated with; nothing is made.

        Raises
        ------
        UnknownNameError, ConfigurationError
            As of :meth:`make`.
        """
        known = self.options(name)
        for option in options:
            if known is not None and option not in known:
                raise unknown(f"option of {self.kind} {name!r}:", option, known)
        return {option: self._checked(name, option, value) for option, value in options.items()}

    def _checked(self, name: str, option: str, value: Any) -> Any:
        """The value, where it is of the type that the option is annotated with."""
        try:
            kind = typing.get_type_hints(self[name].make).get(option)
        except (NameError, TypeError):  # annotations that cannot be resolved here bind nobody
            return value
        if kind not in (int, float, str, bool, int | None, float | None, str | None):
            return value
        import msgspec

        try:
            return msgspec.convert(value.item() if hasattr(value, "item") else value, kind)
        except msgspec.ValidationError:
            word = getattr(kind, "__name__", str(kind))
            raise ConfigurationError(f"{option} of {self.kind} {name!r} must be {word}, not {value!r}") from None
