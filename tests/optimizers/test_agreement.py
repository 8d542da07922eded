"""The same steps everywhere: every listed optimizer on every listed problem, on every library and stand-in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optimizer_cases import BATCHES, FROM_FILES, LEARNING, LISTED, OPTIMIZERS, fits, listed, make, small_for

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import Result, Stop
from nmdl_bench.solve import solve
from nmdl_bench.testing import check_optimizer, numerical_backends, standins

# images on the stand-ins, which are slow: fewer of them, in narrow networks
FEW = {"n": 60, "width": 8, "depth": 2}
IMAGES = ("digits", "mnist-5k", *FROM_FILES)
# convolutions small everywhere, and beyond conv-digits, which differ by the images' size alone, with one method
CONVOLUTIONS = {"n": 60, "channels": "2-4", "depth": 1}
CORE = ("spirals", "circles", "logistic-digits")
"""Problems that all optimizers run on. Adam sees to the others too, L-BFGS to those not large; the rest is slow."""
LARGE = ("mnist-5k", "conv-mnist-5k", *FROM_FILES)
INNER = (
    "newton-cg",
    "gauss-newton-cg",
    "subsampled-newton-cg",
    "subsampled-gauss-newton-cg",
    "newton-tr",
    "newton-gltr",
    "levenberg-marquardt-cg",
    "varpro",
)
"""Methods with inner iterations, which take their time: on the spirals, of a thousand parameters, they are slow."""
DENSE = ("bfgs", "gauss-newton", "levenberg-marquardt")
"""Methods with a matrix of all parameters, for problems with a thousand of them and not more."""
FEW_PARAMETERS = ("spirals", "peaks", "circles", "swiss-roll", "logistic-digits", "ill-posed", "mgh")
SMALL = "small"
"""In the place of a listed problem: a small one with the structure that the optimizer is for."""
STEPS = {
    ("logistic-digits", "newton-cg"): 12,
    ("logistic-digits", "gauss-newton-cg"): 12,
    ("logistic-digits", "newton-tr"): 10,
    ("logistic-digits", "newton-gltr"): 10,
    ("logistic-digits", "levenberg-marquardt-cg"): 14,
    # on a quadratic it is close to conjugate gradients: once the largest eigenvalue is found, rounding errors along its
    # eigenvector grow by a factor of about 30 an iteration, as in Lanczos' method without reorthogonalisation
    ("ridge-digits", "lbfgs"): 9,
    # where its estimate L has shrunk, steps are too long in the stiffest direction, in which rounding errors grow
    ("ill-posed", "proximal-gradient"): 14,
    ("ridge-digits", "proximal-gradient"): 15,
    ("ridge", "nonlinear-cg"): 15,
    **{("ridge", name): 6 for name in INNER},
    # many products a step: each about doubles what rounding errors have changed of the Krylov space's first vector
    **{("ridge-digits", name): 5 if name.startswith("subsampled") else 2 for name in INNER},
    # converged, from where on the last digits of the value decide
    **{(problem, name): 15 for problem in ("elm-peaks", "elm-mnist-5k") for name in INNER},
    **{("logistic-breast-cancer", name): 9 for name in INNER},
    **{("logistic-mnist-5k", name): 12 for name in INNER},
    # random images that a network learns by heart
    **{(problem, name): 10 for problem in FROM_FILES for name in INNER},
    # conjugate gradients amplify rounding errors as they near a minimum along which the function is flat
    **{(problem, "nonlinear-cg"): 11 for problem in ("mnist", "fashion-mnist", "cifar-10")},
    # the reduced Jacobian of a few hundred samples is close to singular, and so are the systems of its inner iterations
    ("peaks-regression", "varpro"): 9,
    ("single-layer-peaks", "varpro"): 6,
    ("peaks", "varpro"): 4,
    # quadratic, and inner iterations reach singular values that rounding errors decide on
    **{(problem, name): 6 for problem in ("deblurring", "ill-posed") for name in INNER},
}
"""Steps by which a method has converged to rounding errors, which then decide on the next one, or they have grown."""


def _marks(problem: str, name: str) -> Any:
    if name in INNER and problem == "spirals":
        return pytest.mark.slow
    seen_to = name == "adam" or (name == "lbfgs" and problem not in LARGE)
    return () if problem in CORE or seen_to else pytest.mark.slow


CASES = [
    pytest.param(problem, name, marks=_marks(problem, name))
    for problem in LISTED
    for name in OPTIMIZERS
    if fits(name, PROBLEMS[problem].structure({}))
    and (name not in DENSE or problem in FEW_PARAMETERS)
    and (not problem.startswith("conv-") or problem == "conv-digits" or name == "adam")
] + [pytest.param(SMALL, name) for name in OPTIMIZERS if small_for(name) is not LEARNING]
CONVEX = "logistic-digits"
# iterations by which the gradient is small enough
FAST = ("lbfgs", "bfgs", "nonlinear-cg", "barzilai-borwein", *INNER)


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_first_twenty_steps(problem: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convolves = problem.startswith("conv-")
    options = CONVOLUTIONS if convolves else {}
    described = small_for(name).plain() if problem == SMALL else listed(problem, tmp_path, monkeypatch, **options)
    optimizer: Any = make(name)
    if hasattr(optimizer, "reorthogonalise"):  # what networks on large images would not do unasked
        optimizer = replace(optimizer, reorthogonalise=True)
    steps = STEPS.get((problem, name), 20)
    backends = [get_backend(library) for library in ("numpy", "torch", "jax")]
    found = check_optimizer(optimizer, described, backends, steps)
    if problem in CORE or name in ("adam", "lbfgs"):
        least = 6
    elif name.startswith("subsampled"):  # all trials with the Hessian of a few samples may be rejected
        least = 0
    else:  # a search for the first step may take most trials where random images are learnt
        least = 1 if problem in FROM_FILES else steps // 4 + 1
    assert found.counts[-1, 0] >= least
    assert np.isfinite(found.f[-1])
    if problem in IMAGES and not convolves:
        found, described = None, PROBLEMS.make(problem, **FEW)
        # sixty images are soon told apart, and their Hessian is close to singular then
        steps = min(steps, 5) if name in INNER else steps
    elif problem.startswith("logistic"):
        found, described = None, PROBLEMS.make(problem, n=60)
    backends = standins() if found else [get_backend("numpy"), *standins()]
    check_optimizer(optimizer, described, backends, steps, reference=found)


@pytest.mark.parametrize("name", BATCHES)
def test_first_twenty_steps_over_all_samples(name: str) -> None:
    check_optimizer(SOLVERS.make(name), PROBLEMS.make("circles", n=60), numerical_backends())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lbfgs", {"search": "hager-zhang"}),
        ("bfgs", {"search": "wolfe", "scaling": "initial"}),
        ("nonlinear-cg", {"beta": "hager-zhang", "search": "hager-zhang"}),
        ("barzilai-borwein", {"rule": "alternating", "search": "grippo"}),
        ("gradient-descent", {"rule": "exact"}),
        ("steepest-descent", {"interpolation": "cubic"}),
    ],
)
def test_first_twenty_steps_of_other_choices(name: str, options: dict[str, Any]) -> None:
    optimizer = SOLVERS.make(name, **options)
    check_optimizer(optimizer, PROBLEMS.make("circles", n=60), [*numerical_backends(), *standins()])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_first_steps_in_float32(name: str) -> None:
    """Round-off may change an acceptance after a while, so few steps and a wide tolerance."""
    problem = PROBLEMS.make("circles", n=60) if small_for(name) is LEARNING else small_for(name).plain()
    check_optimizer(make(name), problem, numerical_backends("float32"), steps=5, tolerance=1e-3)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if fits(name, PROBLEMS[CONVEX].structure({}))])
def test_whole_runs_agree_on_the_convex_problem(name: str) -> None:
    problem = PROBLEMS.make(CONVEX)
    # where its estimate L has shrunk, the proximal gradient method steps too far, which multiplies rounding errors
    # in the stiffest direction by up to 5 an iteration, until the estimate grows again
    stop = Stop(max_iterations=60 if name == "proximal-gradient" else 100, max_epochs=5)
    optimizer = SOLVERS.make(name, **({"batch_size": 64} if name in BATCHES else {}))
    reference = solve(problem, optimizer, get_backend("numpy"), stop)
    assert reference.status == ("converged" if name in FAST else "max_iterations")
    # with steps near 2/L, steepest descent amplifies rounding errors in the stiff directions, by a factor of 1.2 an
    # iteration: values of its 100th iterates agree to six digits
    tolerance = {"steepest-descent": 1e-5, "nonlinear-cg": 1e-7}.get(name, 1e-9)
    for xp in numerical_backends()[1:]:
        found = solve(problem, optimizer, xp, stop)
        assert _words(found) == _words(reference), xp
        assert _off(found.history[:, :4], reference.history[:, :4]) == 0.0, xp  # iterations, evaluations, passes
        assert _off(found.history[:, 4], reference.history[:, 4]) <= tolerance, xp
        assert found.loss == pytest.approx(reference.loss, rel=tolerance)
        assert found.metrics == reference.metrics
        if name != "steepest-descent":
            assert np.abs(found.x - reference.x).max() <= tolerance * np.abs(reference.x).max(), xp


def _words(result: Result) -> tuple[object, ...]:
    return result.status, result.reason, result.iterations, result.counts, result.passes


def _off(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-300)))
