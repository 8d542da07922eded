from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from nmdl_bench.contracts import ConfigurationError, DataError
from nmdl_bench.data import files, load

N = {"train": 40, "t10k": 20}
CIFAR_FILES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


def idx(array: np.ndarray) -> bytes:
    """A file of the IDX format: magic number, sizes as big-endian 32-bit integers, bytes."""
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


def images(part: str) -> np.ndarray:
    return np.random.default_rng(N[part]).integers(0, 256, (N[part], 28, 28), dtype=np.uint8)


def write_mnist(folder: Path, *, compress: bool = False, shift: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, n in N.items():
        labels = ((np.arange(n) + shift) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images(part)), ("labels-idx1", labels)):
            path = folder / f"{part}-{kind}-ubyte{'.gz' if compress else ''}"
            path.write_bytes(gzip.compress(idx(array)) if compress else idx(array))


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    write_mnist(tmp_path)
    return tmp_path


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files with 20 records in place of 10,000."""
    monkeypatch.setattr(files, "CIFAR_RECORDS", 20)
    rng = np.random.default_rng(0)
    for number, name in enumerate(CIFAR_FILES):
        records = rng.integers(0, 256, (20, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        records[:, 1] = 20 * number + np.arange(20)  # marks the image
        (tmp_path / name).write_bytes(records.tobytes())
    return tmp_path


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("place", ["folder", "subfolder"])
def test_idx_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, compress: bool, place: str
) -> None:
    write_mnist(tmp_path / name if place == "subfolder" else tmp_path, compress=compress)
    monkeypatch.setenv("NMDL_DATA", str(tmp_path))
    data = load(name, standardise=False)
    assert [len(part.Y) for part in (data.train, data.validation, data.test)] == [36, 4, 20]
    assert (data.features, data.classes, data.image_shape) == (784, 10, (1, 28, 28))
    np.testing.assert_array_equal(data.test.Y, images("t10k").reshape(20, -1))
    assert data.test.labels is not None
    np.testing.assert_array_equal(data.test.labels, np.arange(20) % 10)
    together = np.concatenate([data.train.Y, data.validation.Y])
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(images("train").reshape(40, -1), axis=0))
    explicit = load(name, folder=tmp_path, standardise=False)
    assert explicit.train.Y.tobytes() == data.train.Y.tobytes()


def test_labels_stay_with_their_images(mnist: Path) -> None:
    data = load("mnist", folder=mnist, standardise=False)
    label_of = {image.tobytes(): i % 10 for i, image in enumerate(images("train"))}
    for part in (data.train, data.validation):
        assert part.labels is not None
        assert [label_of[row.astype(np.uint8).tobytes()] for row in part.Y] == part.labels.tolist()


def test_two_data_sets_share_a_folder(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    write_mnist(tmp_path / "fashion-mnist", shift=5)
    first, second = (load(name, folder=str(tmp_path)).test.labels for name in ("mnist", "fashion-mnist"))
    assert first is not None
    assert second is not None
    assert (first[0], second[0]) == (0, 5)


def test_one_data_set_is_not_taken_for_the_other(mnist: Path) -> None:
    labels = (np.arange(40) % 10).astype(np.uint8)
    labels[:10] = [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    assert load("mnist", folder=mnist).classes == 10
    with pytest.raises(DataError, match=r"holds mnist, not fashion-mnist: put the files .* subfolder 'fashion-mnist'"):
        load("fashion-mnist", folder=mnist)


def test_sizes_of_official_parts(mnist: Path) -> None:
    data = load("mnist", folder=mnist, n=20, n_validation=10, n_test=10)
    parts = (data.train, data.validation, data.test)
    assert [np.bincount(p.labels).tolist() for p in parts if p.labels is not None] == [[1] * 10] * 3
    assert data.train.Y.mean() == pytest.approx(0, abs=1e-12)
    assert data.train.Y.std() == pytest.approx(1, rel=1e-12)
    assert (
        load("mnist", folder=mnist, n=20, n_test=0).train.Y.tobytes()
        == load("mnist", folder=mnist, n=20).train.Y.tobytes()
    )
    with pytest.raises(ConfigurationError, match="n = 41 is more than the 40 samples"):
        load("mnist", folder=mnist, n=41)
    with pytest.raises(ConfigurationError, match="n_test = 21 is more than the 20 samples"):
        load("mnist", folder=mnist, n_test=21)
    with pytest.raises(ConfigurationError, match=r"n_validation = 40 .* leave nothing to train on"):
        load("mnist", folder=mnist, n_validation=40)


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-bin"])
def test_cifar_files_are_read(cifar: Path, subfolder: str) -> None:
    if subfolder:
        (cifar / subfolder).mkdir()
        for name in CIFAR_FILES:
            (cifar / name).rename(cifar / subfolder / name)
    data = load("cifar-10", folder=cifar, standardise=False)
    assert [len(part.Y) for part in (data.train, data.validation, data.test)] == [90, 10, 20]
    assert (data.features, data.classes, data.image_shape) == (3072, 10, (3, 32, 32))
    raw = np.fromfile(cifar / subfolder / "test_batch.bin", dtype=np.uint8).reshape(20, 3073)
    np.testing.assert_array_equal(data.test.Y, raw[:, 1:])
    assert data.train.labels is not None
    np.testing.assert_array_equal(data.train.Y[:, 0] % 10, data.train.labels)
    assert sorted(np.concatenate([data.train.Y[:, 0], data.validation.Y[:, 0]])) == list(range(100))
    standardised = load("cifar-10", folder=cifar).train.Y.reshape(90, 3, 1024)
    np.testing.assert_allclose(standardised.mean(axis=(0, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(standardised.std(axis=(0, 2)), 1, rtol=1e-12)


# ------------------------------------------------------------------------------------------------------ bad files
ALL_NAMES = pytest.mark.parametrize(
    ("name", "file"), [("mnist", "train-images-idx3-ubyte"), ("fashion-mnist", "t10k"), ("cifar-10", "test_batch.bin")]
)


@ALL_NAMES
def test_no_folder_named(monkeypatch: pytest.MonkeyPatch, name: str, file: str) -> None:
    monkeypatch.delenv("NMDL_DATA", raising=False)
    with pytest.raises(DataError, match=f"{name}.*environment variable NMDL_DATA or the option folder .*{file}"):
        load(name)
    monkeypatch.setenv("NMDL_DATA", "")
    with pytest.raises(DataError, match="no folder is named"):
        load(name)


@ALL_NAMES
def test_missing_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str) -> None:
    with pytest.raises(DataError, match=f"absent, which the option folder names .* is not a folder; expected.*{file}"):
        load(name, folder=tmp_path / "absent")
    (tmp_path / "plain").write_text("")
    monkeypatch.setenv("NMDL_DATA", str(tmp_path / "plain"))
    with pytest.raises(DataError, match=r"plain, which NMDL_DATA names .* is not a folder"):
        load(name)


def test_missing_files(mnist: Path, cifar: Path) -> None:
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"'mnist' lacks t10k-labels-idx1-ubyte in .*; expected: .*\(plain or .gz\)"):
        load("mnist", folder=mnist)
    (cifar / "data_batch_2.bin").unlink()
    with pytest.raises(DataError, match=r"'cifar-10' lacks data_batch_2.bin in .*cifar-10-batches-bin"):
        load("cifar-10", folder=cifar)


IDX_BAD = {
    "wrong magic number": (
        lambda good: b"\0\0\x0d\x03" + good[4:],
        r"train-images.* has the magic number 0x00000d03, expected 0x00000803",
    ),
    "labels as images": (lambda good: idx(np.zeros(40, np.uint8)), "magic number 0x00000801, expected 0x00000803"),
    "truncated": (lambda good: good[:-100], r"is truncated: expected 31376 bytes .*\(40, 28, 28\), found 31276"),
    "too long": (lambda good: good + b"12", "is too long: expected 31376 bytes .* found 31378"),
    "cut header": (lambda good: good[:9], "is truncated: expected at least the 16 bytes of an IDX header, found 9"),
    "empty": (lambda good: b"", "found 0"),
    "huge sizes": (lambda good: good[:4] + b"\xff" * 12 + good[16:], "is truncated: expected 792281"),
    "other images": (lambda good: idx(np.zeros((40, 32, 32), np.uint8)), r"images of \(32, 32\) pixels, expected"),
    "fewer images": (lambda good: idx(np.zeros((39, 28, 28), np.uint8)), "39 images and .* 40 labels"),
    "compressed but not so named": (gzip.compress, "gzip-compressed: rename it to end in .gz"),
}


@pytest.mark.parametrize("case", IDX_BAD)
def test_bad_idx_files(mnist: Path, case: str) -> None:
    spoil, message = IDX_BAD[case]
    file = mnist / "train-images-idx3-ubyte"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(DataError, match=message):
        load("mnist", folder=mnist)


GZ_BAD = {
    "not gzip": (lambda raw: raw, "train-images.*gz is not a valid gzip file .* drop .gz"),
    "truncated stream": (
        lambda raw: gzip.compress(raw)[:-5000],
        r"is truncated: expected 31376 bytes .* found \d+ after decompression \(the gzip stream is cut off\)",
    ),
    "check sum cut off": (
        lambda raw: gzip.compress(raw)[:-4],
        r"is truncated: expected 31376 bytes .* found 31376 after decompression \(the gzip stream is cut off\)",
    ),
    "truncated before compression": (lambda raw: gzip.compress(raw[:-1]), "found 31375 after decompression$"),
    "flipped byte": (lambda raw: gzip.compress(raw)[:-8] + b"\0" * 8, "is not a valid gzip file"),
    "empty": (lambda raw: b"", "found 0"),
}


@pytest.mark.parametrize("case", GZ_BAD)
def test_bad_gzip_files(tmp_path: Path, case: str) -> None:
    write_mnist(tmp_path, compress=True)
    spoil, message = GZ_BAD[case]
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(spoil(idx(images("train"))))
    with pytest.raises(DataError, match=message):
        load("mnist", folder=tmp_path)


def test_a_folder_in_place_of_a_file(mnist: Path) -> None:
    (mnist / "t10k-images-idx3-ubyte").unlink()
    (mnist / "t10k-images-idx3-ubyte").mkdir()
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte cannot be read: Is a directory"):
        load("mnist", folder=mnist)


def test_labels_out_of_range(mnist: Path, cifar: Path) -> None:
    labels = np.zeros(20, np.uint8)
    labels[7] = 10
    (mnist / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte holds the label 10 at sample 7, expected 0 to 9"):
        load("mnist", folder=mnist)
    records = np.zeros((20, 3073), np.uint8)
    records[3, 0] = 255
    (cifar / "data_batch_4.bin").write_bytes(records.tobytes())
    with pytest.raises(DataError, match=r"data_batch_4.bin holds the label 255 at sample 3, expected 0 to 9"):
        load("cifar-10", folder=cifar)


@pytest.mark.parametrize(("size", "what"), [(0, "truncated"), (3073 * 19, "truncated"), (3073 * 20 + 1, "too long")])
def test_cifar_files_of_wrong_size(cifar: Path, size: int, what: str) -> None:
    (cifar / "data_batch_3.bin").write_bytes(bytes(size))
    message = rf"data_batch_3.bin is {what}: expected 61460 bytes \(20 records of 3073\), found {size}"
    with pytest.raises(DataError, match=message):
        load("cifar-10", folder=cifar)


def test_cifar_files_are_official_size_by_default(tmp_path: Path) -> None:
    for name in CIFAR_FILES:
        (tmp_path / name).write_bytes(bytes(3073 * 20))
    with pytest.raises(DataError, match=r"expected 30730000 bytes \(10000 records of 3073\), found 61460"):
        load("cifar-10", folder=tmp_path)
