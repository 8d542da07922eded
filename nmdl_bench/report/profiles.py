"""Performance profiles (Dolan and More 2002) and data profiles (More and Wild 2009) at their exact steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from nmdl_bench.report.frames import RunData

Steps = tuple[np.ndarray, np.ndarray]
"""Places where a profile steps, ascending and without repetition, and its value from there on."""
MEASURES = {"evaluations": "target_forward", "passes": "target_passes", "time": "target_time"}
"""What a cost may be, and the column of :func:`~nmdl_bench.report.targets.with_targets` that holds it."""
LEAST_FOR_BANDS = 8
"""Problems below which a bootstrap over them says nothing."""
_LEAST = 1e-9  # s, or passes: no clock tells less apart
_RESAMPLES = 2000


def performance_profile(costs: np.ndarray) -> list[Steps]:
    """Steps of the performance profiles ``rho_s(t) = |{p : r_ps <= t}| / n_p`` (Dolan and More 2002, eq. 2.1).

    Parameters
    ----------
    costs : numpy.ndarray
        (solvers, problems); positive, and infinite or NaN where a solver failed. ``r_ps`` is a cost over the least
        cost of its problem. A problem that no solver solved stays in the number ``n_p``.

    Returns
    -------
    list of (ratio, fraction)
        For each solver the places where its profile steps and its value from there on. Both are empty for a solver
        that solved nothing.
    """
    return [_steps(row) for row in performance_ratios(costs)]


def data_profile(costs: np.ndarray, sizes: np.ndarray | None = None) -> list[Steps]:
    """Steps of the data profiles ``d_s(a) = |{p : t_ps <= a}| / n_p`` (More and Wild 2009, eq. 2.3).

    Parameters
    ----------
    costs : numpy.ndarray
        (solvers, problems); infinite or NaN where a solver failed.
    sizes : numpy.ndarray, optional
        (problems,) numbers of variables n. Where given, ``t_ps / (n + 1) <= a`` counts (eq. 2.4): the unit is then as
        many evaluations as a simplex gradient needs.

    Returns
    -------
    list of (cost, fraction)
        As :func:`performance_profile`.
    """
    return [_steps(row) for row in data_costs(costs, sizes)]


def performance_ratios(costs: np.ndarray) -> np.ndarray:
    """``r_ps``, the costs (solvers, problems) over the least of each problem; infinite where a solver failed."""
    costs = np.where(np.isnan(costs), np.inf, np.asarray(costs, dtype=float))
    best = costs.min(axis=0, initial=np.inf)
    return np.where(np.isfinite(costs), costs / np.where(np.isfinite(best), best, 1.0), np.inf)


def data_costs(costs: np.ndarray, sizes: np.ndarray | None = None) -> np.ndarray:
    """Costs (solvers, problems) in units of ``n + 1`` where sizes are given; infinite where a solver failed."""
    costs = np.where(np.isnan(costs), np.inf, np.asarray(costs, dtype=float))
    return costs if sizes is None else costs / (np.asarray(sizes, dtype=float) + 1.0)


def _steps(row: np.ndarray) -> Steps:
    place, number = np.unique(row[np.isfinite(row)], return_counts=True)
    return place, np.cumsum(number) / len(row)


def bands(row: np.ndarray, places: np.ndarray, problems: np.ndarray, confidence: float = 0.95) -> Steps:
    """Pointwise percentile bootstrap band of a profile, over problems.

    Parameters
    ----------
    row : numpy.ndarray
        (instances,) ratios or costs of one solver, infinite where it failed.
    places : numpy.ndarray
        (steps,) where the profile steps.
    problems : numpy.ndarray
        (instances,) which problem each instance is of: whole problems are resampled, since their seeds resemble one
        another.
    confidence : float
        Level of the band at each place.

    Returns
    -------
    tuple of numpy.ndarray
        Lower and upper end (steps,), NaN for fewer than :data:`LEAST_FOR_BANDS` problems.
    """
    names, of = np.unique(problems, return_inverse=True)
    if len(names) < LEAST_FOR_BANDS:
        nothing = np.full(len(places), np.nan)
        return nothing, nothing.copy()
    met = (row[:, None] <= places[None, :]).astype(float)
    sums, sizes = np.zeros((len(names), len(places))), np.bincount(of).astype(float)
    np.add.at(sums, of, met)
    rng = np.random.Generator(np.random.Philox(0))
    drawn = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=_RESAMPLES).astype(float)
    fractions = (drawn @ sums) / (drawn @ sizes)[:, None]
    tail = 0.5 * (1.0 - confidence)
    low, high = np.quantile(fractions, [tail, 1.0 - tail], axis=0)
    return low, high


def profile_data(
    data: RunData, results: pd.DataFrame, kind: Literal["performance", "data"] = "performance"
) -> pd.DataFrame:
    """Profiles of evaluations, passes over the data and time to the target; an instance is a problem with one seed.

    Evaluations (forwards) and passes are those of each solver's first backend, since all backends take the same steps.
    Times are compared over all solvers and backends; the medians of repeats count, where the backend agrees with NumPy
    float64.

    Parameters
    ----------
    data : RunData
        The run.
    results : pandas.DataFrame
        As :func:`~nmdl_bench.report.targets.with_targets` gives them.
    kind : str
        Ratios to the best solver of each instance, or the costs themselves.

    Returns
    -------
    pandas.DataFrame
        Rows ``measure`` (a key of :data:`MEASURES`), ``backend`` (empty but for times), ``solver``, ``ratio`` or, in
        data profiles, ``cost``, ``fraction`` (the profile from there on; a solver that solved nothing has one row
        with 0), ``low`` and ``high`` (ends of the band, NaN where problems are too few), ``instances`` and, in data
        profiles, ``per_variable`` (whether costs are in units of ``n + 1``).
    """
    index = pd.MultiIndex.from_frame(results[["problem", "seed"]].drop_duplicates())
    rows: list[tuple[object, ...]] = []
    scaled: set[str] = set()
    for measure, costs in _measured(data, results, index).items():
        table = np.array(list(costs.values()))
        if not np.isfinite(table).any():
            continue
        sizes = _sizes(data, index) if kind == "data" and measure == "evaluations" else None
        scaled.add(measure if sizes is not None else "")
        places = performance_ratios(table) if kind == "performance" else data_costs(table, sizes)
        first = 1.0 if kind == "performance" else float(places.min())
        for (backend, solver), row in zip(costs, places):
            place, fraction = _steps(row)
            low, high = bands(row, place, index.get_level_values("problem").to_numpy())
            nothing = [(first, 0.0, np.nan, np.nan)]
            for step in list(zip(place, fraction, low, high)) or nothing:
                rows.append((measure, backend, solver, *map(float, step), len(index)))
    where = "ratio" if kind == "performance" else "cost"
    names = ["measure", "backend", "solver", where, "fraction", "low", "high", "instances"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.assign(per_variable=frame.measure.isin(scaled)) if kind == "data" else frame


def _measured(
    data: RunData, results: pd.DataFrame, index: pd.MultiIndex
) -> Mapping[str, dict[tuple[str, str], np.ndarray]]:
    """Costs (instances,) by measure and then (backend, solver)."""
    solved = results[results.reached]
    costs: dict[str, dict[tuple[str, str], np.ndarray]] = {measure: {} for measure in MEASURES}
    for backend in data.order("backend"):
        for solver, group in results[results.backend == backend].groupby("solver", sort=False):
            own = solved[(solved.backend == backend) & (solved.solver == solver)]
            counted = not group.agrees.eq(False).fillna(False).all()
            for measure in ("evaluations", "passes"):
                if counted and ("", str(solver)) not in costs[measure]:
                    costs[measure]["", str(solver)] = _costs(own, MEASURES[measure], index)
            costs["time"][backend, str(solver)] = _costs(own[own.comparable], MEASURES["time"], index)
    return costs


def _costs(own: pd.DataFrame, column: str, index: pd.MultiIndex) -> np.ndarray:
    costs = own.groupby(["problem", "seed"])[column].median().reindex(index).to_numpy(dtype=float)
    return np.maximum(costs, _LEAST)  # NaN stays NaN


def _sizes(data: RunData, index: pd.MultiIndex) -> np.ndarray | None:
    """Numbers of variables, where ``[report] per_variable`` asks for units of ``n + 1`` and all are known."""
    sizes = [data.sizes.get((str(problem), int(seed)), 0) for problem, seed in index]
    return np.array(sizes, dtype=float) if data.settings.get("per_variable") is True and all(sizes) else None
