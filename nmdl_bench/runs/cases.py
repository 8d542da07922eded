"""Cases: what an experiment measures, one problem, solver, backend, dtype and seed each, and the key of each result.

A case's key is a hash of what determines its result: the case itself, the package's source, the plug-in file that made
its problem or solver, the versions of the libraries that it uses, and the device. Labels and the number of repeats are
not in it, so that results are shared between experiments that measure the same thing.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from nmdl_bench.contracts import PROBLEMS, SOLVERS, ConfigurationError, Registry, Stop, unknown
from nmdl_bench.measure.environment import device_kind, versions_of
from nmdl_bench.registry import mismatch
from nmdl_bench.runs.experiment import Experiment, ProblemSpec, SolverSpec

REFERENCE = ("numpy", "cpu", "float64")
"""Library, device and dtype that others have to agree with."""


class Part(Struct, frozen=True):
    """A problem or a solver of a case."""

    name: str
    label: str
    options: dict[str, Any]

    @property
    def json(self) -> str:
        """Name and options as canonical JSON."""
        return canonical({"name": self.name, "options": self.options})


class Case(Struct, frozen=True):
    """One thing to measure, ``repeats`` times."""

    key: str
    position: int
    problem: Part
    solver: Part
    library: str
    device: str
    dtype: str
    seed: int
    kind: str
    stop: Stop
    threads: int
    content: str
    """Canonical JSON of all that the key hashes."""

    @property
    def backend(self) -> str:
        """Such as ``"torch:cpu"``."""
        return f"{self.library}:{self.device}"

    @property
    def title(self) -> str:
        """One line for people."""
        return f"{self.problem.label} | {self.solver.label} | {self.backend} {self.dtype} | seed {self.seed}"

    @property
    def question(self) -> tuple[str, str, int]:
        """What is asked, whichever backend answers: problem, solver and seed."""
        return self.problem.json, self.solver.json, self.seed


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def expand(spec: Experiment, plugins: Mapping[str, str] | None = None, source: str = "experiment") -> list[Case]:
    """All compatible combinations, problem by problem, solver by solver, backend by backend.

    Parameters
    ----------
    spec : Experiment
        The catalogue and the plug-ins have been imported.
    plugins : mapping
        Module name of each plug-in to a hash of its file.
    source : str
        File name for error messages.

    Raises
    ------
    UnknownNameError
        A problem, solver, option, label or backend that does not exist.
    ConfigurationError
        An option of the wrong type or value, two entries with one label, the same case twice, a solver that fits none
        of the problems, or nothing to measure.
    """
    from nmdl_bench.backends import split_spec

    backends = [split_spec(name) for name in spec.backends]
    problems = _labelled(spec.problems, "problems", source)
    solvers = _labelled(spec.solvers, "solvers", source)
    for label, problem in problems.items():
        _check_options(PROBLEMS, problem.name, problem.options, f"problem {label!r}")
    for label, solver in solvers.items():
        for only in (*(solver.problems or ()), *solver.options_for):
            if only not in problems:
                raise unknown(f"problem label in {source}, solver {label!r}:", only, problems)
        for options in (solver.options, *(solver.options | more for more in solver.options_for.values())):
            _check_options(SOLVERS, solver.name, options, f"solver {label!r}")
        for name in solver.backends or ():
            if split_spec(name) not in backends:
                raise unknown(f"backend in {source}, solver {label!r}:", name, spec.backends)
    _refuse_idle(problems, solvers, source)
    for group, members in (spec.report.groups or {}).items():
        for member in members:
            if member not in solvers:
                raise unknown(f"solver label in {source}, report, groups, {group!r}:", member, solvers)
    cases: list[Case] = []
    for problem_label, problem in problems.items():
        stop = problem.stop.over(spec.stop.over(Stop()))
        for seed in spec.seeds:
            for dtype in spec.dtypes:
                for solver_label, solver in solvers.items():
                    if solver.problems is not None and problem_label not in solver.problems:
                        continue
                    unfit = _unfit(problem, solver)
                    if unfit and solver.problems is None:
                        continue
                    if unfit:
                        raise ConfigurationError(f"{source}: solver {solver_label!r} on {problem_label!r}: {unfit}")
                    options = solver.options | solver.options_for.get(problem_label, {})
                    wanted = [split_spec(name) for name in solver.backends or spec.backends]
                    for library, device in backends:
                        if (library, device) not in wanted or not SOLVERS[solver.name].runs_on(library):
                            continue
                        cases.append(
                            _case(
                                position=len(cases),
                                problem=Part(problem.name, problem_label, problem.options),
                                solver=Part(solver.name, solver_label, options),
                                library=library,
                                device=device,
                                dtype=dtype,
                                seed=seed,
                                stop=stop,
                                threads=spec.limits.threads,
                                plugins=plugins or {},
                            )
                        )
    if not cases:
        raise ConfigurationError(f"{source}: nothing to measure, no solver runs on backends = {spec.backends}")
    _refuse_twins(cases, source)
    return cases


def left_out(spec: Experiment) -> list[str]:
    """What an experiment that :func:`expand` takes does not measure for want of structure, by solver and reason."""
    problems, solvers = _labelled(spec.problems, "problems", ""), _labelled(spec.solvers, "solvers", "")
    missed: dict[tuple[str, str], list[str]] = {}
    for solver_label, solver in solvers.items():
        for label, problem in problems.items():
            unfit = _unfit(problem, solver)
            if unfit and solver.problems is None:
                missed.setdefault((solver_label, unfit), []).append(label)
    return [f"{solver} on {', '.join(labels)} ({unfit})" for (solver, unfit), labels in missed.items()]


def _unfit(problem: ProblemSpec, solver: SolverSpec) -> str:
    entry = SOLVERS[solver.name]
    return mismatch(PROBLEMS[problem.name].structure(problem.options), entry.needs, entry.accepts)


def _refuse_idle(problems: Mapping[str, ProblemSpec], solvers: Mapping[str, SolverSpec], source: str) -> None:
    for label, solver in solvers.items():
        reasons = {name: _unfit(problem, solver) for name, problem in problems.items()}
        if solver.problems is None and reasons and all(reasons.values()):
            why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise ConfigurationError(f"{source}: solver {label!r} fits none of the problems, leave it out ({why})")


def _case(plugins: Mapping[str, str], **fields: Any) -> Case:
    problem, solver = PROBLEMS[fields["problem"].name], SOLVERS[fields["solver"].name]
    makers = [getattr(entry.make, "__module__", "") for entry in (problem, solver)]
    modules = ("numpy", "scipy", fields["library"], *problem.requires, *solver.requires)
    content = canonical(
        {
            "problem": {"name": fields["problem"].name, "options": fields["problem"].options},
            "solver": {"name": fields["solver"].name, "options": fields["solver"].options},
            "library": fields["library"],
            "device": fields["device"],
            "device_kind": device_kind(fields["device"]),
            "dtype": fields["dtype"],
            "seed": fields["seed"],
            "stop": asdict(fields["stop"]),
            "threads": fields["threads"],
            "source": source_hash(),
            "plugins": sorted({plugins[name] for name in makers if name in plugins}),
            "versions": _versions(modules),
        }
    )
    key = hashlib.sha256(content.encode()).hexdigest()[:32]
    return Case(key=key, kind=solver.kind or "ours", content=content, **fields)


def _labelled(entries: Sequence[Any], what: str, source: str) -> dict[str, Any]:
    """Entries by label: the given one, else the name, else name(option=value, ...)."""
    names = [entry.name for entry in entries]
    labelled: dict[str, Any] = {}
    for entry in entries:
        label = entry.label or (entry.name if names.count(entry.name) == 1 else _described(entry))
        if label in labelled:
            raise ConfigurationError(f"{source}: two of its {what} are called {label!r}; give one a label of its own")
        labelled[label] = entry
    return labelled


def _described(entry: ProblemSpec | SolverSpec) -> str:
    options = ", ".join(f"{name}={value}" for name, value in entry.options.items())
    return f"{entry.name}({options})" if options else entry.name


def _check_options(registry: Registry[Any], name: str, options: Mapping[str, Any], where: str) -> None:
    """Options have to be among those that the factory takes, JSON, of their types, and such as a solver can have."""
    known = registry.options(name)
    for option, value in options.items():
        if option == "seed":
            raise ConfigurationError(f"{where}: 'seed' is no option; set seeds = [...] for the whole experiment")
        if known is not None and option not in known:
            raise unknown(f"option of {registry.kind} {name!r}:", option, [n for n in known if n != "seed"])
        try:
            canonical(value)
        except (TypeError, ValueError):
            what = f"option {option} = {value!r} is no number, text, list or table"
            raise ConfigurationError(f"{where}: {what}") from None
    checked = registry.check(name, options)
    if registry is SOLVERS and registry[name].kind == "ours":  # made of numbers alone; a problem may read data
        registry.make(name, **checked)


def _refuse_twins(cases: Sequence[Case], source: str) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        if case.key in seen:
            raise ConfigurationError(f"{source} asks twice for the same: {seen[case.key].title} and {case.title}")
        seen[case.key] = case


@lru_cache(maxsize=1)
def source_hash() -> str:
    """SHA-256 over the package's source files, without those of reports, studies and the command line."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda p: p.relative_to(root).as_posix()):
        name = path.relative_to(root).as_posix()
        if name.startswith(("cli", "report/", "studies/", "diagnostics/")):
            continue
        data = path.read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def _versions(modules: Sequence[str]) -> dict[str, str]:
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for module in dict.fromkeys(modules):
        found |= _module_versions(module)
    return found


_module_versions = lru_cache(maxsize=None)(versions_of)
