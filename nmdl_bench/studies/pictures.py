"""What a study hands over: pictures as tables with captions, and facts beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

Tick = Callable[[str, float], None]
"""Told what is going on and which fraction of the whole is done."""


def silent(text: str, done: float) -> None:
    """A :data:`Tick` that tells nobody."""


@dataclass(frozen=True)
class Picture:
    """One figure: its kind (what draws it), its data, its words."""

    name: str
    """File name."""
    kind: str
    """A key of ``nmdl_bench.report.pictures.KINDS``."""
    title: str
    caption: str
    data: pd.DataFrame


@dataclass(frozen=True)
class Study:
    """What a study found."""

    pictures: list[Picture]
    facts: list[dict[str, Any]] = field(default_factory=list)
    """Rows of a table beside the pictures."""
    left_out: list[str] = field(default_factory=list)
    """Sentences: what is not drawn, and why."""


def band(
    panel: str,
    line: str,
    x: Any,
    values: np.ndarray,
    *,
    x_label: str,
    y_label: str,
    log: bool = False,
    bound: float = float("nan"),
    role: str = "line",
    log_x: bool = False,
) -> pd.DataFrame:
    """Rows of a ``bands`` picture: least, median and greatest over samples at each ``x``.

    Parameters
    ----------
    panel, line : str
        Where it is drawn, and its name there.
    x : array_like (m,)
        Time, layer, step size.
    values : np.ndarray
        (m,) or (m, samples).
    x_label, y_label : str
        Of the panel.
    log : bool
        Whether the panel's y axis is logarithmic.
    bound : float
        Drawn as a dashed line of the same colour, where given.
    role : str
        ``"line"``, ``"points"`` (dots that no line joins), or ``"mark"`` (rings on the line of that name).
    log_x : bool
        Whether the panel's x axis is logarithmic; it also is where x is positive and spans more than a factor of 30.
    """
    values = np.asarray(values, dtype=float).reshape(len(values), -1)
    return pd.DataFrame(
        {
            "panel": panel, "line": line, "x_label": x_label, "y_label": y_label, "log": log,
            "x": np.asarray(x, dtype=float), "low": values.min(axis=1), "middle": np.median(values, axis=1),
            "high": values.max(axis=1), "bound": bound, "role": role, "log_x": log_x,
        }
    )  # fmt: skip


def grid_rows(
    columns: Mapping[str, Any], x: np.ndarray, y: np.ndarray, values: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Rows of a function on a grid: ``values`` are (len(y), len(x)), row by row in the table."""
    X, Y = np.meshgrid(x, y)
    return pd.DataFrame({**columns, "x": X.ravel(), "y": Y.ravel(), **{name: v.ravel() for name, v in values.items()}})


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns, one below the other."""
    return pd.concat(list(frames), ignore_index=True)
