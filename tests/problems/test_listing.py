"""What listings say of problems is what the problems say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from nmdl_bench.catalogue import PROBLEMS

FROM_FILES = ("mnist", "fashion-mnist", "cifar-10", "conv-cifar-10")
"""Problems whose data sets are read from the user's own files."""


@pytest.mark.parametrize("name", [entry.name for entry in PROBLEMS if entry.name not in FROM_FILES])
def test_listed_structure_is_the_problems(name: str) -> None:
    assert tuple(getattr(PROBLEMS.make(name), "provides", ())) == PROBLEMS[name].structure({})


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"loss": "least-squares"}, {"loss": "cross-entropy"}])
def test_random_features_are_logistic_by_their_options(options: dict[str, Any]) -> None:
    provides = PROBLEMS.make("elm-peaks", n=40, width=5, **options).provides  # type: ignore[attr-defined]
    assert provides == PROBLEMS["elm-peaks"].structure(options)
    assert ("logistic" in provides) == (options == {"loss": "cross-entropy"})


def test_what_has_a_penalty_is_not_logistic() -> None:
    problem: Any = PROBLEMS.make("sparse-logistic-digits", n=40, alpha=0.1)
    assert "logistic" in problem.smooth.provides
    assert problem.provides == PROBLEMS["sparse-logistic-digits"].structure({"alpha": 0.1})
