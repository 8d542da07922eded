"""Study files: TOML, checked key by key before anything runs."""

from __future__ import annotations

import importlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from nmdl_bench.contracts import ConfigurationError, NmdlError, unknown
from nmdl_bench.runs.experiment import _in_words
from nmdl_bench.studies.pictures import Study, Tick, silent

KINDS: dict[str, tuple[str, str]] = {
    "initialisation": ("initialisation", "Initialisation"),
    "l-curve": ("l_curve", "LCurve"),
    "least-squares-images": ("least_squares_images", "LeastSquaresImages"),
    "loss-surface": ("loss_surface", "LossSurface"),
    "objective-plane": ("objective_plane", "ObjectivePlane"),
    "orders": ("orders", "Orders"),
    "phase-plane": ("phase_plane", "PhasePlane"),
    "polynomial-fit": ("polynomial_fit", "PolynomialFit"),
    "random-features": ("random_features", "RandomFeatures"),
    "semiconvergence": ("semiconvergence", "Semiconvergence"),
    "single-layer": ("single_layer", "SingleLayer"),
    "softmax": ("softmax", "Softmax"),
    "stability": ("stability", "Stability"),
    "swiss-roll": ("swiss_roll", "SwissRoll"),
}
"""For each kind of study its module, with a function ``run(settings, tick)``, and its settings' type there."""


class _File(Struct, forbid_unknown_fields=True, frozen=True):
    """A whole study file."""

    kind: str
    name: str
    title: str = ""
    width: Literal["text", "column"] = "text"
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyFile:
    """A study to be run: its heading, the width of its figures, its settings, and what runs it."""

    kind: str
    name: str
    title: str
    width: Literal["text", "column"]
    settings: Struct

    def run(self, tick: Tick = silent) -> Study:
        """Compute everything."""
        found: Study = importlib.import_module(f"nmdl_bench.studies.{KINDS[self.kind][0]}").run(self.settings, tick)
        return found

    def as_dict(self) -> dict[str, Any]:
        """All that determines the result, defaults included."""
        return {"kind": self.kind, "name": self.name, "settings": msgspec.to_builtins(self.settings)}


def load(path: Path) -> StudyFile:
    """Read a study file.

    Raises
    ------
    ConfigurationError
        The file cannot be read, is not TOML, or a value does not fit.
    UnknownNameError
        A kind or a key that there is not.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"no study file {str(path)!r}; see reports/course/*.toml for some") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {str(path)!r}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    _check_keys(data, _File, str(path))
    head = _convert(data, _File, str(path))
    if head.kind not in KINDS:
        raise unknown(f"kind of study in {path}:", head.kind, KINDS)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", head.name):
        raise ConfigurationError(f"{path}: name = {head.name!r} names a folder; use letters, digits, '.', '_' and '-'")
    module, type_name = KINDS[head.kind]
    kind = getattr(importlib.import_module(f"nmdl_bench.studies.{module}"), type_name)
    _check_keys(head.settings, kind, f"{path}, settings")
    settings = _convert(head.settings, kind, f"{path}, settings")
    return StudyFile(head.kind, head.name, head.title or head.name, head.width, settings)


def _check_keys(table: dict[str, Any], kind: type[Struct], source: str) -> None:
    known = [f.encode_name for f in msgspec.structs.fields(kind)]
    for key in table:
        if key not in known:
            raise unknown(f"key in {source}:", key, known)


def _convert(table: dict[str, Any], kind: type[Any], source: str) -> Any:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{source}: {_in_words(str(error))}") from None
    except NmdlError as error:
        raise type(error)(f"{source}: {error}") from None
