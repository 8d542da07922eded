"""``sklearn.linear_model.LogisticRegression`` on the data of an objective that is the same function."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar
from unittest import mock

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model._linear_loss import LinearModelLoss

from nmdl_bench.contracts import Array, ConfigurationError, Counts, Objective, Record, Result, Stop
from nmdl_bench.networks.losses import get_loss
from nmdl_bench.peers.rerun import quietly, rerun


@dataclass(frozen=True)
class SklearnLogistic:
    """``LogisticRegression`` on ``1/n sum E([Y 1] W, C) + alpha/2 |W|^2``, all of ``W`` (p + 1, k) penalised.

    scikit-learn minimises ``C sum E + 1/2 |W|^2`` without the intercepts' squares; with a column of ones in their place
    and ``C = 1 / (n alpha)`` it is the same function up to a factor. From the objective's start (``warm_start``).

    Evaluations are those of its loss, counted as they happen: a gradient or a set of Hessian products brings a forward
    of its own, and a dense Hessian stands for as many products as there are parameters. SAG and SAGA make one pass an
    iteration. What is recorded says :func:`nmdl_bench.peers.rerun.rerun`.

    Parameters
    ----------
    method : str
        scikit-learn's ``solver``.
    options : dict
        Passed to the class.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    needs: ClassVar[tuple[str, ...]] = ("gauss-newton",)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        xp = objective.xp
        Y, labels, alpha = _data(objective)
        start = np.asarray(xp.to_numpy(x), np.float64).reshape(Y.shape[1], -1)

        def solve(iterations: int) -> tuple[Array, int, Counts]:
            model = LogisticRegression(
                solver=self.method,
                C=1 / (len(Y) * alpha),
                fit_intercept=False,
                warm_start=True,
                tol=0.0,
                max_iter=iterations,
                random_state=seed,
                **self.options,
            )
            model.coef_ = np.asfortranarray(start.T)
            model.intercept_ = np.zeros(start.shape[1])
            with _counting(start.size) as counted:
                quietly(model.fit)(Y, labels)
            reached = int(np.max(model.n_iter_))
            if self.method in ("sag", "saga"):
                counted = {"forward": reached, "gradient": reached}
            return xp.asarray(np.ascontiguousarray(model.coef_.T).ravel()), reached, Counts(**counted)

        return rerun(objective, x, stop, record, solve)


def _data(objective: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Features with a column of ones (n, p + 1), labels (n,), and alpha.

    Raises
    ------
    ConfigurationError
        The objective is no multinomial logistic regression.
    """
    layers = getattr(getattr(objective.static, "network", None), "layers", ())
    unfit = "scikit-learn's LogisticRegression cannot minimise it: "
    if not layers:
        raise ConfigurationError(unfit + "it takes the loss of a network")
    _, loss, alpha, regularisers = objective.static
    if loss != get_loss("cross-entropy") or regularisers or not alpha:
        raise ConfigurationError(unfit + "it takes cross-entropy with alpha > 0 and no other regulariser")
    Y, C = (np.asarray(objective.xp.to_numpy(part), np.float64) for part in objective.arrays[:2])
    k = C.shape[1]
    shapes = [tuple(shape) for shape in layers[0].shapes().values()] if len(layers) == 1 else []
    if shapes != [(Y.shape[-1], k), (k,)] or k < 3:
        raise ConfigurationError(unfit + "it takes one affine layer, into at least three classes")
    labels = C.argmax(axis=1)
    if not np.array_equal(C, np.eye(k)[labels]) or len(np.unique(labels)) < k:
        raise ConfigurationError(unfit + "it takes labels, and samples of every class")
    return np.column_stack([Y, np.ones(len(Y))]), labels, alpha


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
            patches.enter_context(mock.patch.object(LinearModelLoss, name, count(name, **more)))
        yield counted
