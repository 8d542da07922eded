"""Our optimizers against each library's own: ``python -m benchmarks.optimizers`` prints the table.

Each pair implements one method, on the same objectives from the same points. Compared are the evaluations that both
need to the same gap, over a set of problems, and the time of an iteration at two sizes, where overhead counts and where
bandwidth does. Times go in turn over ours and theirs, each in a process of its own with pinned threads.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import BACKENDS, Samples
from benchmarks.optimizer_pairs import INSTANCES, PAIRS, SMALL, Instance, Pair
from nmdl_bench.contracts import HISTORY_COLUMNS, NmdlError, Stop
from nmdl_bench.measure.stats import Ratio, paired_ratio

PLUGIN = Path(__file__).with_name("targets") / "optimizer_problems.py"
COUNTED = Stop(max_iterations=1000, max_evaluations=2000, max_time=5.0, gtol=1e-12)
"""Limits of the runs whose evaluations are counted."""
_LASTING, _RUNS = 0.02, 15
"""A sample repeats its run until it lasts so many seconds, or so often."""
LIMIT = 1.1
"""What the ratio of evaluations is to stay below; that of times, below ``nmdl_bench.measure.stats.NOT_SLOWER``."""
Key = tuple[str, str, str]
"""Solver with its options, instance, backend."""


@dataclass(frozen=True)
class Timing:
    """Seconds an iteration of both at one size."""

    n: int
    ours: tuple[float, ...] = ()
    theirs: tuple[float, ...] = ()
    ratio: Ratio | None = None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """What was found of a pair; ``reason`` where it could not be compared."""

    pair: Pair
    evaluations: Ratio | None = None
    """Ours over theirs, geometric mean over the problems that both solved."""
    solved: tuple[int, int, int] = (0, 0, 0)
    """Problems that ours solved, that the peer solved, and all."""
    timings: tuple[Timing, ...] = ()
    reason: str = ""
    each: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Evaluations of both by problem, NaN where not solved."""


def missing(pair: Pair) -> str:
    """Why a pair cannot be compared in this version; empty where it can."""
    import nmdl_bench.catalogue  # noqa: F401
    from nmdl_bench.contracts import SOLVERS

    absent = [name for name in (pair.ours, pair.peer) if name not in SOLVERS]
    return f"no solver is called {' or '.join(map(repr, absent))}" if absent else ""


def instances_of(pair: Pair) -> list[Instance]:
    """Problems that fit both solvers of a pair."""
    import nmdl_bench.catalogue  # noqa: F401
    from nmdl_bench.contracts import PROBLEMS, SOLVERS
    from nmdl_bench.registry import mismatch

    def fits(name: str, provides: tuple[str, ...]) -> bool:
        entry = SOLVERS[name]
        return not mismatch(provides, entry.needs, *([entry.accepts] if hasattr(entry, "accepts") else []))

    composite = pair.problem in ("bench-sparse", "bench-bounded")
    found = []
    for instance in INSTANCES:
        if instance.problem in PROBLEMS and instance.problem not in pair.left_out:
            provides = PROBLEMS[instance.problem].structure(instance.options)
            if ("composite" in provides) == composite and fits(pair.ours, provides) and fits(pair.peer, provides):
                found.append(instance)
    return found


class Bench:
    """Worker processes, one for ours and one for the peers of each backend, for as long as it is open."""

    def __init__(self, threads: int = 1) -> None:
        from nmdl_bench.measure.threads import choose_cpus
        from nmdl_bench.runs.experiment import Limits

        self.limits = Limits(time=300.0, startup=300.0, threads=threads)
        self.cpus = choose_cpus(threads)
        self.workers: dict[tuple[str, str], Any] = {}
        self.histories: dict[Key, np.ndarray | str] = {}
        self.starts: dict[str, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.workers.clear()

    def worker(self, side: str, backend: str) -> Any:
        """The process of a side, ``"ours"`` or ``"theirs"``, on a backend."""
        from nmdl_bench.backends import split_spec
        from nmdl_bench.runs.local import Worker

        found = self.workers.get((side, backend))
        if found is None or not found.alive:
            found = self.workers[side, backend] = Worker(
                (*split_spec(backend), "float64"), self.limits, [PLUGIN], self.cpus
            )
            self._stack.callback(found.kill)
        return found

    # ------------------------------------------------------------------------------------------------- evaluations
    def evaluations(self, pair: Pair) -> tuple[Ratio | None, tuple[int, int, int], dict[str, tuple[float, float]]]:
        """Forwards, or passes, that both need to the same gap, by problem; ours are those on NumPy."""
        from nmdl_bench.report.targets import crossing, target_value

        each: dict[str, tuple[float, float]] = {}
        for instance in instances_of(pair):
            both = [
                self._history("ours", pair.ours, "numpy", instance, pair.options | pair.ours_options),
                self._history("theirs", pair.peer, pair.backend, instance, pair.options | pair.peer_options),
            ]
            known = [h for h in both if not isinstance(h, str)]
            if pair.products and len(known) == 2:
                known[0] = when_known(known[0])
            if instance.label not in self.starts or len(known) < 2:
                print(
                    f"{pair.label} on {instance.label}: {next(h for h in both if isinstance(h, str))}", file=sys.stderr
                )
                continue
            start = self.starts[instance.label]
            best = float(np.nanmin([start.minimum, *(np.nanmin(h[:, 4]) for h in known)]))
            target = target_value(start.value, best, instance.tau)
            met = [crossing(history, target) for history in known]
            ours_at, theirs_at = (c.passes if pair.products else c.forward for c in met)
            each[instance.label] = (ours_at, theirs_at)
        counts = np.array(list(each.values())).reshape(-1, 2)
        ours, theirs = (int(np.isfinite(counts[:, i]).sum()) for i in (0, 1))
        ratio = paired_ratio(counts[:, 0], counts[:, 1], statistic="geometric mean") if len(counts) else None
        return ratio if ratio is not None and ratio.n else None, (ours, theirs, len(counts)), each

    def _history(self, side: str, solver: str, backend: str, instance: Instance, options: dict[str, Any]) -> Any:
        """History of one run, kept; a sentence where there is none."""
        from nmdl_bench.measure.process import WorkerError
        from nmdl_bench.runs.local import RefusedError, problem_key
        from nmdl_bench.runs.store import unpack

        key = (f"{solver} {options}", instance.label, backend)
        if key not in self.histories:
            case = _case(solver, options, backend, instance, COUNTED)
            try:
                worker = self.worker(side, backend)
                self.starts.setdefault(instance.label, worker.start_of(case))
                worker.start_of(case)
                asked = {"problem": problem_key(case), "name": solver, "options": options, "seed": 0}
                asked |= {"stop": asdict(COUNTED), "rows": COUNTED.max_iterations}
                self.histories[key] = unpack(worker.ask({"verb": "reference", **asked}, slow=True)["history"])  # type: ignore[assignment]
            except (WorkerError, RefusedError, NmdlError) as error:
                self.histories[key] = f"{solver}: {error}"
        return self.histories[key]

    # ------------------------------------------------------------------------------------------------------- times
    def timing(self, pair: Pair, n: int, rounds: int) -> Timing:
        """Seconds an iteration, or a pass where products are taken, in turn."""
        from nmdl_bench.measure.interleave import interleave
        from nmdl_bench.measure.process import WorkerError
        from nmdl_bench.runs.local import RefusedError

        stop = Stop(max_iterations=pair.iterations, max_evaluations=100 * pair.iterations, gtol=0.0, looks=1)
        instance = Instance(pair.problem, {"n": n})
        sides = {
            "ours": (pair.ours, pair.options | pair.ours_options),
            "theirs": (pair.peer, pair.options | pair.peer_options),
        }
        timers = {}
        try:
            for side, (solver, options) in sides.items():
                worker, case = self.worker(side, pair.backend), _case(solver, options, pair.backend, instance, stop)
                worker.start_of(case)
                worker.prepare(case)
                timers[side] = partial(_seconds, worker, case, "passes" if pair.products else "iteration")
            samples = interleave(timers, rounds, own_clock=True)
        except (WorkerError, RefusedError) as error:
            return Timing(n, reason=str(error))
        finally:
            for side in sides:
                if (found := self.workers.get((side, pair.backend))) is not None and found.alive:
                    found.release()
        ratio = paired_ratio(samples["ours"], samples["theirs"])
        return Timing(n, tuple(samples["ours"]), tuple(samples["theirs"]), ratio)


def when_known(history: np.ndarray) -> np.ndarray:
    """A history of ours with the passes at the moment that each point's value was known.

    The step that accepts a point takes the products for the next direction too, which peers take in their next
    iteration; here they count for the point that they lead to.
    """
    forward, passes = (HISTORY_COLUMNS.index(name) for name in ("forward", "passes"))
    known = history.copy()
    known[0, passes] = history[0, forward]
    known[1:, passes] = history[:-1, passes] + np.diff(history[:, forward])
    return known


def _seconds(worker: Any, case: Any, unit: str) -> float:
    """Seconds an iteration, or a pass, from the start's row on, over as many runs as last long enough for the clock."""
    from nmdl_bench.runs.local import RefusedError
    from nmdl_bench.runs.store import unpack

    seconds, done = 0.0, 0.0
    for _ in range(_RUNS):
        row = worker.measure(case)
        if not row["iterations"]:
            raise RefusedError(row["status"], f"{case.solver.name} made no iteration: {row['reason']}")
        history = unpack(row["history"])
        took = dict(zip(HISTORY_COLUMNS, history[-1] - history[0], strict=True))
        seconds, done = seconds + took["time"], done + took[unit]
        if seconds >= _LASTING:
            break
    return seconds / done


def _case(solver: str, options: dict[str, Any], backend: str, instance: Instance, stop: Stop) -> Any:
    from nmdl_bench.backends import split_spec
    from nmdl_bench.runs.cases import Case, Part, canonical

    library, device = split_spec(backend)
    return Case(
        key=canonical([solver, options, instance.problem, instance.options, asdict(stop)]),
        position=0,
        problem=Part(instance.problem, instance.label, instance.options),
        solver=Part(solver, solver, options),
        library=library,
        device=device,
        dtype="float64",
        seed=0,
        kind="",
        stop=stop,
        threads=1,
        content="{}",
    )


def compare(
    pairs: Sequence[Pair],
    rounds: int = 15,
    threads: int = 1,
    evaluations: bool = True,
    sizes: Sequence[str] = ("small", "large"),
) -> list[Row]:
    """Compare the given pairs, one after the other; what is found of each is shown at once.

    Parameters
    ----------
    pairs : sequence of Pair
        Which.
    rounds : int
        Samples of each time.
    threads : int
        Of each process.
    evaluations : bool
        Whether to count them.
    sizes : sequence of str
        ``"small"`` and ``"large"``, or one of them.
    """
    rows = []
    with Bench(threads) as bench:
        for pair in pairs:
            if why := missing(pair):
                rows.append(Row(pair, reason=why))
                continue
            print(f"{pair.label} on {pair.backend} ...", file=sys.stderr, flush=True)
            wanted = [SMALL] * ("small" in sizes) + [pair.large] * ("large" in sizes)
            timings = tuple(bench.timing(pair, n, rounds) for n in wanted)
            counted = evaluations and not pair.same_steps
            ratio, solved, each = bench.evaluations(pair) if counted else (None, (0, 0, 0), {})
            rows.append(Row(pair, ratio, solved, timings, each=each))
            print(_line(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return ""
    band = f" ({ratio.low:.2f} to {ratio.high:.2f})" if np.isfinite(ratio.low) else ""
    return f"{ratio.value:.2f}{band}"


def _time(samples: Sequence[float]) -> str:
    return f"{float(np.median(samples)) * 1e6:.3g}"


def _line(row: Row) -> str:
    cells = [row.pair.ours, row.pair.peer, row.pair.backend]
    same = "same steps" if row.pair.same_steps else ""
    cells += [_ratio(row.evaluations) or same, "{}, {}, {}".format(*row.solved) if row.solved[2] else ""]
    for timing in row.timings:
        if timing.ratio is None:
            cells += [str(timing.n), timing.reason.replace("|", "\\|"), ""]
        else:
            cells += [str(timing.n), f"{_time(timing.ours)}, {_time(timing.theirs)}", _ratio(timing.ratio)]
    return f"| {' | '.join(cells + [''] * (11 - len(cells)))} |"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, and a line for each pair that was not compared."""
    lines = [
        "| ours | peer | backend | evaluations | solved: ours, peer, of | n | ours, peer (us) | ratio (95 %) "
        "| n | ours, peer (us) | ratio (95 %) |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_line(row) for row in rows if not row.reason]
    return "\n".join(
        [*lines, *(f"\nnot compared: {r.pair.label} on {r.pair.backend}: {r.reason}" for r in rows if r.reason)]
    )


NOTE = """\
Evaluations (forwards; for Newton methods passes, forwards and Hessian products together) to f* + tau (f0 - f*), ours
over the peer's: geometric means over the problems that both solved, with bootstrap intervals over problems; f* is the
known minimum or the least value that either reached, and tau 1e-6 or, for networks, 1e-2. Microseconds an iteration
(for Newton methods, a pass) after the start, compiled steps without the host in between: medians of {rounds} samples
taken in turn, one process each, {threads} thread(s), float64; ratios are medians of pairs with bootstrap intervals.
Limits: {limit} for evaluations, 1.05 for the upper end of a ratio of times."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimizers", description=__doc__)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), metavar="BACKEND", help="numpy, torch, jax")
    parser.add_argument("--solvers", nargs="+", default=[], metavar="NAME", help="pairs with one of these only")
    parser.add_argument("--rounds", type=int, default=15, help="samples of each time")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sizes", nargs="+", choices=["small", "large"], default=["small", "large"])
    parser.add_argument("--times-only", action="store_true", help="count no evaluations")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    given = parser.parse_args(arguments)
    chosen = [
        pair
        for pair in PAIRS
        if pair.backend in given.backends and (not given.solvers or {pair.ours, pair.peer} & set(given.solvers))
    ]
    rows = compare(chosen, given.rounds, given.threads, not given.times_only, given.sizes)
    print(table(rows), "\n\n", NOTE.format(limit=LIMIT, **vars(given)), sep="")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


class Optimizers:
    """The same for asv, measured once a commit, without the largest sizes."""

    params = (BACKENDS, list(dict.fromkeys(pair.label for pair in PAIRS)))
    param_names = ("backend", "pair")
    skip_params = [  # noqa: RUF012 (asv reads it)
        (backend, label)
        for backend in BACKENDS
        for label in dict.fromkeys(pair.label for pair in PAIRS)
        if (backend, label) not in {(pair.backend, pair.label) for pair in PAIRS}
    ]
    version = "2"

    def setup_cache(self) -> Any:
        from benchmarks.common import ABSENT

        rows = compare([pair for pair in PAIRS if pair.backend not in ABSENT], rounds=9, sizes=["small"])
        return {(row.pair.backend, row.pair.label): asdict(row) for row in rows}

    setup_cache.timeout = 3600  # type: ignore[attr-defined]

    row: Mapping[str, Any]

    def setup(self, rows: Any, backend: str, label: str) -> None:
        self.row = rows.get((backend, label), {"reason": f"{backend} is not installed"})
        if self.row["reason"]:
            raise NotImplementedError(self.row["reason"])

    def track_time_ratio(self, rows: Any, backend: str, label: str) -> float:
        ratio = self.row["timings"][0]["ratio"]
        return float("nan") if ratio is None else round(ratio["value"], 3)

    def track_step_time(self, rows: Any, backend: str, label: str) -> Samples | float:
        samples = self.row["timings"][0]["ours"]
        return {"samples": samples, "number": 1} if samples else float("nan")

    def track_evaluations_ratio(self, rows: Any, backend: str, label: str) -> float:
        ratio = self.row["evaluations"]
        return float("nan") if ratio is None else round(ratio["value"], 3)


Optimizers.track_time_ratio.unit = "ours / peer"  # type: ignore[attr-defined]
Optimizers.track_step_time.unit = "seconds"  # type: ignore[attr-defined]
Optimizers.track_evaluations_ratio.unit = "ours / peer"  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
