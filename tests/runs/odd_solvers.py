"""Plug-in of the tests: a light problem, a solver that behaves, and others that do what a solver must not."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nmdl_bench.contracts import PROBLEMS, SOLVERS, Counts, Result


@dataclass(frozen=True)
class BowlObjective:
    """``f(x) = 1/2 sum_i w_i x_i^2`` with its own gradient, or one that is off by ``error``."""

    xp: Any
    arrays: Any
    x0: Any
    static: Any = "bowl"
    n_samples: int = 1
    error: float = 0.0

    def with_arrays(self, arrays: Any) -> BowlObjective:
        return replace(self, arrays=arrays)

    def forward(self, x: Any, batch: Any = None) -> Any:
        g = self.arrays * x
        return 0.5 * self.xp.dot(g, x), g

    def grad(self, tape: Any) -> Any:
        return (1 + self.error) * tape


class Bowl:
    """A convex quadratic from a start that the seed draws."""

    name, summary, minimum, tau = "tests-bowl", "a quadratic", 0.0, 0.1

    def __init__(self, size: int, seed: int, error32: float) -> None:
        self.size, self.seed, self.error32 = size, seed, error32

    def bind(self, xp: Any) -> BowlObjective:
        x0 = np.random.Generator(np.random.Philox(self.seed)).standard_normal(self.size)
        error = self.error32 if xp.dtype_name == "float32" else 0.0
        static = ("bowl", error)
        return BowlObjective(xp, xp.asarray(np.linspace(1.0, 2.0, self.size)), xp.asarray(x0), static, error=error)

    def metrics(self, xp: Any, x: Any) -> dict[str, float]:
        return {"accuracy_train": 0.5}


@PROBLEMS.register("tests-bowl", "a quadratic")
def bowl(seed: int = 0, size: int = 8, error32: float = 0.0) -> Bowl:
    return Bowl(size, seed, error32)


@PROBLEMS.register("tests-broken-problem", "cannot be built")
def broken_problem(seed: int = 0) -> Bowl:
    raise ValueError("no such luck")


class Descent:
    """Gradient steps; ``mischief`` happens in the runs after the two of the warm-up."""

    def __init__(self, step: float = 0.5) -> None:
        self.step = step
        self.runs = 0

    def mischief(self, x: Any) -> Any:
        return x

    def run(self, objective: Any, x: Any, stop: Any, record: Any, seed: int = 0) -> Result:
        self.runs += 1
        k, counts = 0, Counts()
        record.begin()
        for k in range(stop.max_iterations):
            f, tape = objective.forward(x)
            counts = counts._replace(forward=k + 1, gradient=k + 1)
            if record(k, f, x=x, counts=counts):
                break
            x = x - self.step * objective.grad(tape)
        if self.runs > 2:
            x = self.mischief(x)
        return Result(x, "max_iterations", "done", k + 1, counts, float(k + 1))


@SOLVERS.register("tests-good", "behaves", backends=("*",))
def good(step: float = 0.5) -> Descent:
    return Descent(step)


def register(name: str, **options: Any) -> Any:
    """Make a solver of a function of x."""

    def add(mischief: Any) -> Any:
        class Odd(Descent):
            def mischief(self, x: Any) -> Any:
                return mischief(x)

        SOLVERS.register(name, str(mischief.__doc__), **{"backends": ("*",)} | options)(lambda: Odd())
        return mischief

    return add


@register("tests-nan")
def returns_nan(x: Any) -> Any:
    """returns NaN"""
    return x * float("nan")


@register("tests-raises")
def raises(x: Any) -> Any:
    """raises"""
    raise ZeroDivisionError("the step\nis zero")


@register("tests-hangs")
def hangs(x: Any) -> Any:
    """hangs"""
    while True:
        time.sleep(0.1)


@register("tests-hungry")
def hungry(x: Any) -> Any:
    """eats all memory, touching it"""
    kept = []
    while True:
        kept.append(np.ones(2**20))


@register("tests-memory-error")
def asks_too_much(x: Any) -> Any:
    """asks for more memory than any machine has"""
    return np.ones(2**55)


@register("tests-exits")
def exits(x: Any) -> Any:
    """calls sys.exit"""
    sys.exit("I am leaving")


@register("tests-dies")
def dies(x: Any) -> Any:
    """ends the process behind Python's back"""
    os.write(2, b"about to die\n")
    os._exit(7)


@register("tests-segfault")
def segfault(x: Any) -> Any:
    """ends as a crash in a compiled library does"""
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


@register("tests-victim")
def victim(x: Any) -> Any:
    """says who it is, and waits to be killed from outside"""
    Path(os.environ["NMDL_TEST_PID"]).write_text(str(os.getpid()))
    time.sleep(60)


@register("tests-chatty")
def chatty(x: Any) -> Any:
    """prints a great deal on both streams"""
    for _ in range(2000):
        print("x" * 100)
        print("y" * 100, file=sys.stderr)
    os.write(1, b"z" * 100_000)
    return x


@register("tests-needs-more", requires=("no_such_library",))
def needs_more(x: Any) -> Any:
    """needs a library that is not there"""
    return x


@register("tests-naps")
def naps(x: Any) -> Any:
    """takes a moment"""
    time.sleep(0.02)
    return x


class Hoarder(Descent):
    """Keeps 64 MiB from its first run on."""

    kept: Any = None

    def run(self, objective: Any, x: Any, stop: Any, record: Any, seed: int = 0) -> Result:
        if self.kept is None:
            self.kept = np.ones(8 * 2**20)
        return super().run(objective, x, stop, record, seed)


@SOLVERS.register("tests-hoards", "keeps memory", backends=("*",))
def hoards() -> Descent:
    return Hoarder()
