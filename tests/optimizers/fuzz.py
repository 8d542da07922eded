"""Every solver of ours on random small problems that are often hard or broken: ``python tests/optimizers/fuzz.py``.

A case is one solver on one problem, and follows from the seed and its number alone. It fails where the solver raises
anything but the errors that are documented, goes on without end, or says of a point that it has converged (or that it
has not) where the gradient, computed anew by NumPy in extended precision, says otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fuzz_problems import CALLS, FuzzError, Shape, draw_problem, draw_shape

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import SOLVERS
from nmdl_bench.contracts import NmdlError, Result, Status, Stop
from nmdl_bench.registry import mismatch
from nmdl_bench.solve import solve

GTOL = 1e-6
STOP = Stop(max_iterations=40, max_epochs=4, max_evaluations=150, gtol=GTOL)
LIMIT = 20.0
"""Seconds of a case, after which an alarm rings; compiled code, which does not hear it, has a multiple of them."""
JAX_SHAPES = 20


class Case(NamedTuple):
    """One solver on one problem."""

    seed: int
    index: int
    solver: str
    options: dict[str, Any]
    shape: Shape
    problem: Any

    def __str__(self) -> str:
        return f"case {self.index} of seed {self.seed}: {self.solver}({self.options}) on {tuple(self.shape)}"


def solvers(library: str) -> list[str]:
    """Ours that run on a library."""
    return [entry.name for entry in SOLVERS if entry.kind == "ours" and entry.runs_on(library)]


def fits(solver: str, provides: Sequence[str]) -> bool:
    """Whether a solver can minimise what provides so much."""
    entry = SOLVERS[solver]
    return not mismatch(provides, entry.needs, *([entry.accepts] if hasattr(entry, "accepts") else []))


def some_shapes(seed: int, count: int) -> list[Shape]:
    """So many shapes, no two alike, with all families and terms among them."""
    rng = np.random.Generator(np.random.Philox(seed))
    found: dict[Shape, None] = {}
    kinds: set[tuple[str, str]] = set()
    while len(found) < count:
        shape = draw_shape(rng)
        # as many as there are combinations of family and term come first, one of each
        if (shape.family, shape.term) not in kinds or len(kinds) >= min(count, 13):
            found[shape] = None
            kinds.add((shape.family, shape.term))
    return list(found)


def draw(seed: int, index: int, library: str, shapes: Sequence[Shape] = (), only: Sequence[str] = ()) -> Case | None:
    """A case from its number; None where no shape drawn fits its solver."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index])))
    names = [name for name in solvers(library) if not only or name in only]
    solver = names[index % len(names)]
    for _ in range(500):
        shape = shapes[rng.integers(len(shapes))] if shapes else draw_shape(rng)
        if shape.family != "network" and not fits(solver, shape.provides):
            continue
        problem = draw_problem(shape, rng)
        if fits(solver, problem.provides):
            return Case(seed, index, solver, _options(solver, rng, bool(shapes)), shape, problem)
    return None


def _options(solver: str, rng: np.random.Generator, compiled: bool) -> dict[str, Any]:
    """Step sizes of any size, memories and batches that differ from the defaults; no new text to compile on JAX."""
    known, given = SOLVERS.options(solver) or (), {}
    if "step_size" in known and rng.random() < 0.7:
        given["step_size"] = float(10.0 ** rng.uniform(-4, 2))
    if not compiled:
        if "memory" in known and rng.random() < 0.5:
            given["memory"] = int(rng.choice([1, 2, 7]))
        if "batch_size" in known and rng.random() < 0.4:
            given["batch_size"] = int(rng.integers(1, 6))
    return given


def check(case: Case, xp: Any) -> Result | None:
    """Run a case; None where the solver refused it by a documented error.

    Raises
    ------
    FuzzError
        The solver did what no solver may.
    """
    CALLS.reset()
    try:
        solver = SOLVERS.make(case.solver, **case.options)
        with warnings.catch_warnings(), np.errstate(all="ignore"), _time_limit(case, xp.eager):
            warnings.simplefilter("ignore")
            result = solve(case.problem, solver, xp, STOP, seed=case.index)
    except FuzzError:
        raise
    except NmdlError:
        return None
    except Exception as error:
        raise FuzzError(f"raised {type(error).__name__}: {error}") from error
    with np.errstate(all="ignore"):
        _judge(case, result)
    return result


def _judge(case: Case, result: Result) -> None:
    if result.status not in get_args(Status) or result.status == "error":
        raise FuzzError(f"status {result.status!r}: {result.reason}")
    if not np.all(np.isfinite(result.x)):
        raise FuzzError(f"{result.status} at an x that is not finite")
    if min(result.counts) < 0 or result.counts.forward > 2 * STOP.max_evaluations + 100:
        raise FuzzError(f"evaluations: {result.counts}")
    found, error = case.problem.measure(result.x)
    start, _ = case.problem.measure(np.asarray(case.problem.x0 if hasattr(case.problem, "x0") else case.problem.start))
    # a start that overflows in double precision sets no scale
    largest = np.finfo(np.float64).max
    tolerance = GTOL * (max(1.0, start) if start <= largest else 1.0)
    slack = 1e4 * np.finfo(np.float64).eps * error
    if result.status == "converged" and not found <= tolerance * (1 + 1e-6) + slack:
        raise FuzzError(f"'converged' with {found:.3g} over the tolerance {tolerance:.3g}")
    if result.status in ("stalled", "max_iterations") and found < 0.5 * tolerance - slack:
        raise FuzzError(f"{result.status!r} ({result.reason}) with {found:.3g} below the tolerance {tolerance:.3g}")


@contextlib.contextmanager
def _time_limit(case: Case, eager: bool) -> Iterator[None]:
    """An alarm, which Python hears; where it does not come back from compiled code, the process ends and says where."""

    def ring(*_: Any) -> None:
        raise FuzzError(f"endless: more than {LIMIT} s")

    def last_words() -> None:
        print(f"{case} does not return", file=sys.stderr, flush=True)

    hears = eager and hasattr(signal, "setitimer")
    longest = (5 if hears else 20) * LIMIT
    watch = threading.Timer(longest - 1.0, last_words)
    watch.daemon = True
    watch.start()
    faulthandler.dump_traceback_later(longest, exit=True)
    if hears:
        before = signal.signal(signal.SIGALRM, ring)
        left, _ = signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        watch.cancel()
        faulthandler.cancel_dump_traceback_later()
        if hears:
            signal.setitimer(signal.ITIMER_REAL, left)  # what another's alarm had left
            signal.signal(signal.SIGALRM, before)


def run(
    library: str, seed: int, indices: Sequence[int], only: Sequence[str] = (), say: Any = None
) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Statuses by solver, and a sentence for each failure."""
    xp = get_backend(library)
    shapes = some_shapes(seed, JAX_SHAPES) if not xp.eager else ()
    statuses: Counter[tuple[str, str]] = Counter()
    failures = []
    for done, index in enumerate(indices):
        case = draw(seed, index, library, shapes, only)
        if case is None:
            statuses[solvers(library)[index % len(solvers(library))], "no problem fits"] += 1
            continue
        try:
            result = check(case, xp)
            statuses[case.solver, "refused" if result is None else result.status] += 1
        except FuzzError as error:
            statuses[case.solver, "FAILED"] += 1
            failures.append(f"{case} {error}")
        if say is not None:
            say(done, case)
    return statuses, failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit code is 1 where a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="numpy", help="numpy, torch, jax")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--only", type=int, nargs="+", metavar="INDEX", help="run these cases alone")
    parser.add_argument("--solvers", nargs="+", default=[], metavar="NAME")
    given = parser.parse_args(arguments)
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if given.seed is None else given.seed
    print(f"seed {seed}, {given.backend}", flush=True)
    start = time.perf_counter()

    def say(done: int, case: Case) -> None:
        if done % 500 == 499:
            print(f"{done + 1} cases, {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)

    indices = given.only or range(given.cases)
    statuses, failures = run(given.backend, seed, indices, given.solvers, say)
    columns = sorted({status for _, status in statuses})
    for name in dict.fromkeys(name for name, _ in statuses):
        print(f"{name:28s}" + ", ".join(f"{statuses[name, c]} {c}" for c in columns if statuses[name, c]))
    for failure in failures[:40]:
        print(failure)
    print(f"{len(failures)} of {len(indices)} cases failed in {time.perf_counter() - start:.0f} s")
    again = " ".join(["--solvers", *given.solvers] if given.solvers else [])
    if failures:
        print(f"again: python {sys.argv[0]} --backend {given.backend} --seed {seed} {again} --only INDEX")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
