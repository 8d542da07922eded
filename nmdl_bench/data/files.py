"""Image data sets read from files in a folder that the user names: MNIST, Fashion-MNIST and CIFAR-10.

The formats: IDX, described with MNIST (LeCun, Cortes and Burges), and the binary version of CIFAR-10 (Krizhevsky,
*Learning Multiple Layers of Features from Tiny Images*, 2009). Nothing is downloaded.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from nmdl_bench.contracts import DataError
from nmdl_bench.data.dataset import Dataset, from_parts
from nmdl_bench.data.sampling import part_sizes, stratified_split, streams, subset

FOLDER_VARIABLE = "NMDL_DATA"

IDX_IMAGES = "{}-images-idx3-ubyte"
IDX_LABELS = "{}-labels-idx1-ubyte"
IDX_TRAIN, IDX_TEST = "train", "t10k"
IDX_PIXELS = (28, 28)
IDX_FIRST_LABELS = {"mnist": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4), "fashion-mnist": (9, 0, 0, 3, 0, 2, 7, 2, 5, 5)}
"""How the training labels begin. Both data sets use the same file names and sizes, so one is easily taken for the
other."""

CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR_TEST = ("test_batch.bin",)
CIFAR_IMAGE = (3, 32, 32)
CIFAR_RECORDS = 10_000
"""Images a file. The format has no header, so that only the full size tells whether a file is whole."""


def mnist(
    *,
    folder: str | os.PathLike[str] | None = None,
    n: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """MNIST's 60,000 + 10,000 digits from IDX files in a folder of yours: 28 x 28 pixels, 10 classes.

    Parameters
    ----------
    folder
        Where the four IDX files are, gzip-compressed (``.gz``) or not: in its subfolder ``mnist`` or in the folder
        itself. None for the folder that the environment variable ``NMDL_DATA`` names.
    n
        Images of the official training files to use, chosen with the class proportions of the whole; None for all.
    n_validation
        How many of these ``n`` to validate with, stratified by class; None for a tenth.
    n_test
        Images of the official test files to use; None for all.
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`.

    Raises
    ------
    DataError
        If a file is missing, truncated or not what its name says.
    """
    return _idx_dataset("mnist", folder, n, n_validation, n_test, seed, standardise)


def fashion_mnist(
    *,
    folder: str | os.PathLike[str] | None = None,
    n: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """Fashion-MNIST's 60,000 + 10,000 images from IDX files in a folder of yours: 28 x 28 pixels, 10 classes.

    Options are those of :func:`mnist`; the subfolder is ``fashion-mnist``.
    """
    return _idx_dataset("fashion-mnist", folder, n, n_validation, n_test, seed, standardise)


def cifar_10(
    *,
    folder: str | os.PathLike[str] | None = None,
    n: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """CIFAR-10's 50,000 + 10,000 images from binary files in a folder of yours: 3 x 32 x 32 pixels, 10 classes.

    Options are those of :func:`mnist`; the files are ``data_batch_1.bin`` to ``data_batch_5.bin`` and
    ``test_batch.bin``, in the subfolder ``cifar-10-batches-bin`` or in the folder itself. All 60,000 images take
    1.5 GB as float64.
    """
    place = _find("cifar-10", folder, CIFAR_FOLDER, [*CIFAR_TRAIN, *CIFAR_TEST])
    train, test = (
        [np.concatenate(arrays) for arrays in zip(*(read_cifar(place[file]) for file in files))]
        for files in (CIFAR_TRAIN, CIFAR_TEST)
    )
    return _official_split("cifar-10", train, test, n, n_validation, n_test, seed, standardise, CIFAR_IMAGE)


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Bytes of an IDX file as an array with ``dimensions`` axes.

    Parameters
    ----------
    path
        The file, gzip-compressed if its name ends in ``.gz``.
    dimensions
        1 for labels, 3 for images (n, height, width).

    Raises
    ------
    DataError
        If the file cannot be read, its magic number is another, or its size is not what its header says.
    """
    content, whole = _read(path)
    header = 4 + 4 * dimensions
    magic = 0x0800 + dimensions
    if len(content) < header:
        raise DataError(
            f"{path} is truncated: expected at least the {header} bytes of an IDX header, found {len(content)}"
        )
    found = int.from_bytes(content[:4], "big")
    if found != magic:
        hint = "; it is gzip-compressed: rename it to end in .gz" if content[:2] == b"\x1f\x8b" else ""
        raise DataError(
            f"{path} has the magic number 0x{found:08x}, expected 0x{magic:08x} "
            f"(IDX, unsigned bytes, {dimensions} dimensions){hint}"
        )
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4))
    expected = header + math.prod(shape)
    if len(content) != expected or not whole:
        what = "is too long" if len(content) > expected else "is truncated"
        after = (
            f" after decompression{'' if whole else ' (the gzip stream is cut off)'}" if path.suffix == ".gz" else ""
        )
        raise DataError(f"{path} {what}: expected {expected} bytes for shape {shape}, found {len(content)}{after}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def read_cifar(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (10,000, 3,072) and labels (10,000,) of one binary file of CIFAR-10.

    Raises
    ------
    DataError
        If the file cannot be read, has another size, or holds a label above 9.
    """
    content, _ = _read(path)
    record = 1 + CIFAR_IMAGE[0] * CIFAR_IMAGE[1] * CIFAR_IMAGE[2]
    expected = CIFAR_RECORDS * record
    if len(content) != expected:
        what = "is truncated" if len(content) < expected else "is too long"
        raise DataError(
            f"{path} {what}: expected {expected} bytes ({CIFAR_RECORDS} records of {record}), found {len(content)}"
        )
    records = np.frombuffer(content, dtype=np.uint8).reshape(CIFAR_RECORDS, record)
    return records[:, 1:], _checked_labels(path, records[:, 0])


def _idx_dataset(
    name: str,
    folder: str | os.PathLike[str] | None,
    n: int | None,
    n_validation: int | None,
    n_test: int | None,
    seed: int,
    standardise: bool,
) -> Dataset:
    files = [kind.format(part) for part in (IDX_TRAIN, IDX_TEST) for kind in (IDX_IMAGES, IDX_LABELS)]
    place = _find(name, folder, name, files, suffixes=("", ".gz"))
    parts = []
    for part in (IDX_TRAIN, IDX_TEST):
        at_images, at_labels = place[IDX_IMAGES.format(part)], place[IDX_LABELS.format(part)]
        images, labels = read_idx(at_images, 3), _checked_labels(at_labels, read_idx(at_labels, 1))
        if images.shape[1:] != IDX_PIXELS:
            raise DataError(f"{at_images} holds images of {images.shape[1:]} pixels, expected {IDX_PIXELS}")
        if len(images) != len(labels) or len(images) == 0:
            raise DataError(
                f"{at_images} holds {len(images)} images and {at_labels} {len(labels)} labels; "
                "expected equal numbers of at least 1"
            )
        parts.append([images.reshape(len(images), -1), labels])
    for other, first in IDX_FIRST_LABELS.items():
        if other != name and tuple(parts[0][1][: len(first)]) == first:
            raise DataError(
                f"{at_images.parent} holds {other}, not {name}: put the files of {name} in its subfolder {name!r}"
            )
    return _official_split(
        name, parts[0], parts[1], n, n_validation, n_test, seed, standardise, (1, IDX_PIXELS[0], IDX_PIXELS[1])
    )


def _official_split(
    name: str,
    train: list[np.ndarray],
    test: list[np.ndarray],
    n: int | None,
    n_validation: int | None,
    n_test: int | None,
    seed: int,
    standardise: bool,
    image_shape: tuple[int, int, int],
) -> Dataset:
    """Validation from the official training part; the official test part stays what it is."""
    rng = streams(seed)
    chosen = subset(name, train[1], n, rng.draw)
    at_test = subset(name, test[1], n_test, rng.test, option="n_test")
    _, validation, _ = part_sizes(len(chosen), n_validation, 0)
    at_validation, at_train = stratified_split(train[1][chosen], [validation], rng.split)
    parts = [(train[0][chosen[at]], train[1][chosen[at]]) for at in (at_train, at_validation)]
    parts.append((test[0][at_test], test[1][at_test]))
    return from_parts(name, parts, classes=10, standardise=standardise, image_shape=image_shape)


def _find(
    name: str,
    folder: str | os.PathLike[str] | None,
    subfolder: str,
    files: list[str],
    suffixes: tuple[str, ...] = ("",),
) -> dict[str, Path]:
    """Paths of ``files``, all in the named subfolder or all in the folder itself."""
    expected = ", ".join(files) + (" (plain or .gz)" if ".gz" in suffixes else "")
    given = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if not given:
        raise DataError(
            f"data set {name!r} is read from your own files, and no folder is named: set the environment variable "
            f"{FOLDER_VARIABLE} or the option folder to the one with {expected}"
        )
    root = Path(given).expanduser()
    if not os.path.isdir(root):
        whence = "the option folder" if folder is not None else FOLDER_VARIABLE
        raise DataError(
            f"{root}, which {whence} names for data set {name!r}, is not a folder; expected in it: {expected}"
        )
    best: dict[str, Path] = {}
    for place in (root / subfolder, root):
        paths = {file: [place / (file + suffix) for suffix in suffixes] for file in files}
        found = {file: path for file in files for path in paths[file][::-1] if os.path.exists(path)}  # plain ones win
        if len(found) == len(files):
            return found
        best = max(best, found, key=len)
    missing = ", ".join(file for file in files if file not in best)
    raise DataError(
        f"data set {name!r} lacks {missing} in {root} (or its subfolder {subfolder!r}); expected: {expected}"
    )


def _read(path: Path) -> tuple[bytes, bool]:
    """Content of a file, decompressed if its name ends in ``.gz``, and whether the compressed stream is whole."""
    chunks: list[bytes] = []
    try:
        if path.suffix != ".gz":
            return path.read_bytes(), True
        with gzip.open(path, "rb") as stream:
            while chunk := stream.read1(1 << 20):
                chunks.append(chunk)
    except EOFError:
        return b"".join(chunks), False
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a valid gzip file ({error}); if it is not compressed, drop .gz") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return b"".join(chunks), True


def _checked_labels(path: Path, labels: np.ndarray) -> np.ndarray:
    wrong = np.flatnonzero(labels > 9)
    if len(wrong):
        raise DataError(f"{path} holds the label {labels[wrong[0]]} at sample {wrong[0]}, expected 0 to 9")
    return labels.astype(np.int64)
