"""Inspection of one network: what it is made of, and every picture that applies to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import nmdl_bench.catalogue  # noqa: F401 (fills the registries)
from nmdl_bench.contracts import PROBLEMS, SOLVERS, ConfigurationError, Problem, Stop, unknown
from nmdl_bench.networks import presets
from nmdl_bench.networks.network import Network
from nmdl_bench.problems.learning import LearningProblem

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

_SAMPLES = 2
"""Samples of normal deviates for a preset, which has no data."""


@dataclass(frozen=True)
class Subject:
    """A network at a point."""

    name: str
    network: Network
    x: np.ndarray
    """Parameters (size,) on the host."""
    Y: np.ndarray
    """Features (n, ...) that enter it, on the host."""
    point: str
    """Where the parameters come from, in words."""
    problem: LearningProblem | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample that enters."""
        return self.Y.shape[1:]


def find(target: str, options: Mapping[str, Any], store: Path, seed: int = 0) -> Subject:
    """What ``target`` names: a problem, a preset, or ``RUN/PROBLEM/SOLVER`` for a solver's result in the store.

    Parameters
    ----------
    target : str
        The name.
    options : mapping
        Of the problem; presets and stored results take none.
    store : Path
        Results store.
    seed : int
        Draws data and initial parameters.

    Raises
    ------
    UnknownNameError
        There is no such problem, preset, run, or case in it.
    ConfigurationError
        An option's value cannot work, or there is no network to inspect.
    """
    if "/" in target:
        _no_options(target, options)
        return _stored(target, store)
    if target in PROBLEMS:
        problem = PROBLEMS.make(target, **{"seed": seed, **options})
        if not isinstance(problem, LearningProblem):
            raise ConfigurationError(f"problem {target!r} has no network to inspect; `nmdl-bench list problems`")
        return Subject(target, problem.network, problem.start, problem.data.train.Y, "initial parameters", problem)
    if target in presets.PRESETS:
        _no_options(target, options)
        return _preset(target, seed)
    raise unknown("problem or preset", target, [*(entry.name for entry in PROBLEMS), *presets.PRESETS])


def _no_options(target: str, options: Mapping[str, Any]) -> None:
    if options:
        raise ConfigurationError(f"options are for problems; {target!r} is as it is, without {', '.join(options)}")


def _preset(name: str, seed: int) -> Subject:
    preset = presets.PRESETS[name]
    network = preset.network(flat=False)
    rng = np.random.Generator(np.random.Philox(seed))
    x = network.init(rng)
    Y = rng.standard_normal((_SAMPLES, *preset.shape))
    return Subject(name, network, x, Y, f"initial parameters ({preset.summary}; {preset.source})")


def _stored(target: str, path: Path) -> Subject:
    import json

    from nmdl_bench.runs.store import Store

    run_name, problem_label, solver_label = [*target.split("/", 2), "", ""][:3]
    with Store.open(path) as store:
        run = store.find_run(run_name)
        rows = store.results(run.run_id)
        for what, label, column in (("problem", problem_label, "problem"), ("solver", solver_label, "solver")):
            known = list(dict.fromkeys(row[column] for row in rows))
            if label not in known:
                raise unknown(f"{what} in run {run_name!r} (give RUN/PROBLEM/SOLVER):", label, known)
            rows = [row for row in rows if row[column] == label]
        row = next((row for row in rows if row["x"] is not None), None)
        if row is None:
            raise ConfigurationError(f"{target!r} ended without a result: {rows[0]['status']}, {rows[0]['reason']}")
        x = np.asarray(row["x"], dtype=np.float64)
    asked = json.loads(row["problem_json"])
    problem = PROBLEMS.make(asked["name"], **{"seed": row["seed"], **asked["options"]})
    if not isinstance(problem, LearningProblem):
        raise ConfigurationError(f"problem {asked['name']!r} has no network to inspect; choose another one of the run")
    if problem.network.size != len(x):
        raise ConfigurationError(
            f"{target!r} has {len(x)} parameters, but its problem makes {problem.network.size} now; run it again"
        )
    point = f"{solver_label} on {row['library']}:{row['device']} {row['dtype']}, {row['iterations']} iterations"
    return Subject(target, problem.network, x, problem.data.train.Y, point, problem)


def train(subject: Subject, solver: str, iterations: int, xp: Backend, seed: int = 0) -> Subject:
    """The subject after ``iterations`` (epochs, of methods that take batches) of a solver with its default options.

    Raises
    ------
    ConfigurationError
        The subject has no data to train on.
    """
    from nmdl_bench.solve import solve

    if subject.problem is None:
        raise ConfigurationError(f"{subject.name!r} is a network without data; name a problem to train")
    if not SOLVERS[solver].runs_on(xp.library):
        raise ConfigurationError(
            f"solver {solver!r} does not run on {xp.library!r}; name one of {', '.join(SOLVERS[solver].backends)} "
            "with --backend"
        )
    stop = Stop(max_iterations=iterations, max_epochs=iterations)
    result = solve(cast(Problem, subject.problem), SOLVERS.make(solver), xp, stop, seed)
    reached = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in result.metrics.items())
    point = f"{result.iterations} iterations of {solver}: objective {result.loss:.4g}, {reached}"
    return Subject(
        subject.name, subject.network, np.array(result.x, dtype=np.float64), subject.Y, point, subject.problem
    )
