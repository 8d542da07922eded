"""Experiment files: TOML, checked key by key before anything runs."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from nmdl_bench.contracts import ConfigurationError, NmdlError, Stop, unknown

PositiveInt = Annotated[int, Meta(ge=1)]
PositiveFloat = Annotated[float, Meta(gt=0)]
Names = Annotated[list[str], Meta(min_length=1)]
Level = Annotated[float, Meta(gt=0, lt=1)]


class StopSpec(Struct, forbid_unknown_fields=True, frozen=True):
    """Stopping rules that a file gives; the rest keeps the defaults of :class:`nmdl_bench.contracts.Stop`."""

    max_iterations: PositiveInt | UnsetType = UNSET
    max_epochs: PositiveInt | UnsetType = UNSET
    max_evaluations: PositiveInt | UnsetType = UNSET
    max_time: PositiveFloat | UnsetType = UNSET
    gtol: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    looks: PositiveInt | UnsetType = UNSET

    def over(self, stop: Stop) -> Stop:
        """``stop`` with what this table gives."""
        return dataclasses.replace(stop, **msgspec.to_builtins(self))


class ProblemSpec(Struct, forbid_unknown_fields=True, frozen=True):
    """One ``[[problems]]`` entry."""

    name: str
    label: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    stop: StopSpec = StopSpec()


class SolverSpec(Struct, forbid_unknown_fields=True, frozen=True):
    """One ``[[solvers]]`` entry."""

    name: str
    label: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    problems: list[str] | None = None
    backends: list[str] | None = None
    options_for: dict[str, dict[str, Any]] = field(default_factory=dict)


class Limits(Struct, forbid_unknown_fields=True, frozen=True):
    """Hard limits: a worker that exceeds one is killed and its case recorded."""

    time: PositiveFloat = 60.0
    """Seconds that one repeat may take."""
    startup: PositiveFloat = 120.0
    """Further seconds for what comes before: starting a worker, reading data, compiling, warming up."""
    memory: PositiveFloat = 8.0
    """GiB of resident memory of a worker."""
    threads: PositiveInt = 1
    """Threads and CPUs of a worker."""


class BudgetSpec(Struct, forbid_unknown_fields=True, frozen=True):
    """One ``[[report.budgets]]`` entry: passes over the data that solvers may take to a gap."""

    problem: str
    """Its label."""
    solvers: Names
    """Their labels."""
    gap: Level
    """Relative to the problem's known minimum."""
    passes: PositiveInt
    peers: Names | None = None
    """Labels of the other libraries' solvers that the table compares with; default: all."""


class ReportSpec(Struct, forbid_unknown_fields=True, frozen=True):
    """What the report shows; read by :mod:`nmdl_bench.report`."""

    tau: Level | None = None
    """Level of 'solved' for all problems; default: each problem's own."""
    taus: list[Level] = field(default_factory=list)
    """Levels of profiles and of the table of targets, instead of the one above."""
    gap: Level | None = None
    """Relative gap to the known minimum that 'solved' means where a problem has one, instead of ``tau``; where that
    minimum is zero, relative to the value at the start."""
    figures: list[str] | None = None
    metric: str | None = None
    groups: dict[str, Names] | None = None
    """Solvers by label that share a panel, under the panel's name; what no group names is not drawn. Default: all in
    one, or, where they are too many, ours and the peers' in parts."""
    per_variable: bool = False
    """Whether data profiles count evaluations in units of ``n + 1``, n the number of variables."""
    budgets: list[BudgetSpec] = field(default_factory=list)
    """What solvers may take; a table of the report shows whether they do."""


class Experiment(Struct, forbid_unknown_fields=True, frozen=True):
    """A whole experiment file."""

    name: Annotated[str, Meta(min_length=1)]
    problems: Annotated[list[ProblemSpec], Meta(min_length=1)]
    solvers: Annotated[list[SolverSpec], Meta(min_length=1)]
    title: str = ""
    backends: Names = field(default_factory=lambda: ["numpy"])
    dtypes: Annotated[list[Literal["float64", "float32"]], Meta(min_length=1)] = field(
        default_factory=lambda: ["float64"]
    )
    seeds: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1)] = field(default_factory=lambda: [0])
    repeats: PositiveInt = 3
    plugins: list[str] = field(default_factory=list)
    stop: StopSpec = StopSpec()
    limits: Limits = Limits()
    report: ReportSpec = ReportSpec()


_TABLES: dict[str, type[Struct]] = {
    "": Experiment, "problems": ProblemSpec, "solvers": SolverSpec, "stop": StopSpec, "problems.stop": StopSpec,
    "limits": Limits, "report": ReportSpec, "report.budgets": BudgetSpec,
}  # fmt: skip


@dataclass(frozen=True)
class ExperimentFile:
    """An experiment, the text that it was read from, and the plug-in files that it needs."""

    spec: Experiment
    text: str
    plugins: tuple[Path, ...] = ()


def load(path: Path, plugins: Sequence[Path] = ()) -> ExperimentFile:
    """Read an experiment file.

    Parameters
    ----------
    path : Path
        A TOML file.
    plugins : sequence of Path
        Plug-in files beside those that the file names (which are relative to its folder).

    Raises
    ------
    ConfigurationError
        The file cannot be read, is not TOML, or a value does not fit: one sentence with the file and the key.
    UnknownNameError
        A key that experiment files do not have.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"no experiment file {str(path)!r}; see reports/*.toml for some") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {str(path)!r}: {error}") from error
    spec = parse(text, str(path))
    named = [path.parent / name for name in spec.plugins]
    return ExperimentFile(spec, text, tuple(dict.fromkeys(p.resolve() for p in (*named, *plugins))))


def parse(text: str, source: str = "experiment") -> Experiment:
    """Check an experiment's TOML text; see :func:`load`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{source} is not valid TOML: {error}") from None
    try:
        _check_keys(data, source)
        spec = msgspec.convert(data, Experiment)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{source}: {_in_words(str(error))}") from None
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", spec.name):
        raise ConfigurationError(
            f"{source}: name = {spec.name!r} names a folder of the report; use letters, digits, '.', '_' and '-'"
        )
    for budget in spec.report.budgets:
        for kind, names, entries in (
            ("problem", [budget.problem], spec.problems),
            ("solver", [*budget.solvers, *(budget.peers or ())], spec.solvers),
        ):
            labels = [entry.label or entry.name for entry in entries]
            for name in names:
                if name not in labels:
                    raise unknown(f"{kind} in {source}, report, budgets:", name, labels)
    for key in ("backends", "dtypes", "seeds"):
        values = getattr(spec, key)
        if len(set(values)) < len(values):
            raise ConfigurationError(f"{source}: {key} = {values} lists something twice")
    return spec


def _check_keys(table: Any, source: str, where: str = "", shown: str = "") -> None:
    """Refuse keys that no table of that kind has, offering the nearest."""
    if where not in _TABLES:
        return
    if isinstance(table, list):
        for i, entry in enumerate(table):
            _check_keys(entry, source, where, f"{shown}, entry {i + 1}")
        return
    if not isinstance(table, dict):
        return  # the conversion says what is wrong
    known = [f.encode_name for f in msgspec.structs.fields(_TABLES[where])]
    for key, value in table.items():
        if key not in known:
            raise unknown(f"key in {source}{shown and f', {shown}'}:", key, known)
        inner = f"{where}.{key}" if where else key
        _check_keys(value, source, inner, f"{shown}, {key}" if shown else key)


def _in_words(message: str) -> str:
    """Turn msgspec's ``... - at `$.solvers[0].name` `` into ``solvers, entry 1, name: ...``."""
    what, _, where = message.partition(" - at `")
    what = what.replace("`", "'")
    path = where.rstrip("`").removeprefix("$").lstrip(".")
    if not path:
        return what
    path = re.sub(r"\[(\d+)\]", lambda m: f", entry {int(m[1]) + 1}", path).replace("[...]", "").replace(".", ", ")
    return f"{path}: {what}"


def named_error(source: str, error: NmdlError) -> NmdlError:
    """The same error with the file's name in front."""
    return type(error)(f"{source}: {error}")
