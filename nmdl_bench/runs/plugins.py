"""Plug-in files: a user's own problems and solvers, in one Python file, registered beside those of the package."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

from nmdl_bench.contracts import ConfigurationError, NmdlError


def module_name(path: Path) -> str:
    """The stable name under which a plug-in file is imported, in the parent and in workers alike."""
    path = path.resolve()
    return f"nmdl_plugin_{path.stem}_{zlib.crc32(str(path).encode()):08x}"


def load(path: Path) -> str:
    """Import a plug-in file, once a process, and return its module's name.

    Raises
    ------
    ConfigurationError
        There is no such file, or importing it fails.
    """
    name = module_name(path)
    if name in sys.modules:
        return name
    if not path.is_file():
        raise ConfigurationError(f"plug-in {str(path)!r}: no such file")
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"plug-in {str(path)!r} is not a Python file; its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, NmdlError):
            raise
        raise ConfigurationError(f"plug-in {str(path)!r} fails on import: {one_line(error)}") from error
    return name


def load_all(paths: Iterable[Path]) -> dict[str, str]:
    """Import plug-in files; module name to SHA-256 of the file."""
    return {load(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def one_line(error: BaseException, limit: int = 300) -> str:
    """An exception as one line: its type, message, and the place that raised it."""
    text = " ".join(str(error).split()) or "no message"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace is not None else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({Path(error.filename).name}:{error.lineno})"
        text = error.msg
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    return f"{type(error).__name__}: {text}{place}"
