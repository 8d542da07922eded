"""``sklearn.linear_model.LogisticRegression`` on the data of an objective that is the same function."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar
from unittest import mock

import numpy as np
from sklearn.linear_model import LogisticRegression

try:  # private, and only counted
    from sklearn.linear_model._linear_loss import LinearModelLoss
except ImportError:
    LinearModelLoss = None

from nmdl_bench.contracts import Array, ConfigurationError, Counts, Objective, Record, Result, Stop
from nmdl_bench.peers.rerun import quietly, rerun


@dataclass(frozen=True)
class SklearnLogistic:
    """``LogisticRegression`` on ``1/n sum E([Y 1] W, C) + alpha/2 |W|^2``, all of ``W`` (p + 1, k) penalised.

    scikit-learn minimises ``C sum E + 1/2 |W|^2`` without the intercepts' squares; with a column of ones in their place
    and ``C = 1 / (n alpha)`` it is the same function up to a factor. Two classes it describes by ``u``, the difference
    of our two columns, which are ``-u/2`` and ``u/2`` at the minimum: ``alpha/4 |u|^2``. From the objective's start
    (``warm_start``).

    Evaluations are those of its loss, counted as they happen: a gradient or a set of Hessian products brings a forward
    of its own, and a dense Hessian stands for as many products as there are parameters. SAG and SAGA make one pass an
    iteration; so do all where a version of scikit-learn has no loss that can be counted. What is recorded says
    :func:`nmdl_bench.peers.rerun.rerun`.

    Parameters
    ----------
    method : str
        scikit-learn's ``solver``.
    options : dict
        Passed to the class.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    needs: ClassVar[tuple[str, ...]] = ("logistic",)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        xp = objective.xp
        Y, labels, k = _data(objective)
        weight = len(Y) * objective.static.alpha / (2 if k == 2 else 1)
        start = _theirs(np.asarray(xp.to_numpy(x), np.float64).reshape(Y.shape[1], k))

        def solve(iterations: int) -> tuple[Array, int, Counts]:
            model = LogisticRegression(
                solver=self.method,
                C=1 / weight,
                fit_intercept=False,
                warm_start=True,
                tol=0.0,
                max_iter=iterations,
                random_state=seed,
                **self.options,
            )
            model.coef_, model.intercept_ = start.copy(order="F"), np.zeros(len(start))
            with _counting(start.size) as counted:
                quietly(model.fit)(Y, labels)
            reached = int(np.max(model.n_iter_))
            if self.method in ("sag", "saga") or not counted["forward"]:
                counted = {"forward": reached, "gradient": reached}
            return xp.asarray(_ours(model.coef_, k).ravel()), reached, Counts(**counted)

        return rerun(objective, x, stop, record, solve)


def _theirs(W: np.ndarray) -> np.ndarray:
    """Coefficients as scikit-learn has them: (k, p + 1), or (1, p + 1) for two classes."""
    return W.T if W.shape[1] != 2 else np.diff(W, axis=1).T


def _ours(coefficients: np.ndarray, k: int) -> np.ndarray:
    """``W`` (p + 1, k) of scikit-learn's coefficients."""
    return coefficients.T if k != 2 else np.column_stack([-coefficients[0] / 2, coefficients[0] / 2])


def _data(objective: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Features with a column of ones (n, p + 1), labels (n,), and the number of columns of ``W``.

    Raises
    ------
    ConfigurationError
        The targets are no labels, or a class has no samples.
    """
    Y, C = (np.asarray(objective.xp.to_numpy(part), np.float64) for part in objective.arrays[:2])
    k = C.shape[1]
    labels = C.argmax(axis=1) if k > 1 else C[:, 0].round().astype(int)
    known = np.eye(k)[labels] if k > 1 else labels[:, None]
    if not np.array_equal(C, known) or len(np.unique(labels)) < max(k, 2):
        raise ConfigurationError(
            "scikit-learn's LogisticRegression takes labels, and some of every class; take more data or another solver"
        )
    return np.column_stack([Y, np.ones(len(Y))]), labels, k


@contextlib.contextmanager
def _counting(size: int) -> Iterator[dict[str, int]]:
    """Count what scikit-learn evaluates of its loss, as fields of :class:`~nmdl_bench.contracts.Counts`."""
    counted = {"forward": 0, "gradient": 0, "hessian": 0}

    def count(name: str, **more: int) -> Callable[..., Any]:
        original = getattr(LinearModelLoss, name)

        def evaluate(*args: Any, **options: Any) -> Any:
            for kind, n in more.items():
                counted[kind] += n
            found = original(*args, **options)
            if name != "gradient_hessian_product":
                return found
            g, product = found

            def counted_product(s: np.ndarray) -> np.ndarray:
                counted["hessian"] += 1
                return product(s)

            return g, counted_product

        return evaluate

    with contextlib.ExitStack() as patches:
        for name, more in {
            "loss": {"forward": 1},
            "loss_gradient": {"forward": 1, "gradient": 1},
            "gradient": {"forward": 1, "gradient": 1},
            "gradient_hessian": {"forward": 1, "gradient": 1, "hessian": size},
            "gradient_hessian_product": {"forward": 1, "gradient": 1},
        }.items():
            if hasattr(LinearModelLoss, name):
                patches.enter_context(mock.patch.object(LinearModelLoss, name, count(name, **more)))
        yield counted
