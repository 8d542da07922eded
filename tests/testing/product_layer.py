"""A layer with every feature of the contract, small enough to read at a glance, and its planted faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class ProductTape(NamedTuple):
    Y: Any
    centred: Any
    mask: Any


@dataclass(frozen=True)
class Product:
    """``A = w * (Y - m)^2 * mask + b Y`` elementwise; m is the mean over samples, or ``aux``'s.

    It has what can go wrong: products of parameters and input, a second derivative in each argument and across them,
    statistics, masks.
    """

    width: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"w": (self.width,), "b": (self.width,)}

    def init(self, rng: Any) -> dict[str, Any]:
        return {name: rng.standard_normal(shape) for name, shape in self.shapes().items()}

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def _mean(self, xp: Any, Y: Any, trains: bool) -> Any:
        return xp.sum(Y, axis=0) * (1 / Y.shape[0]) if trains else 0 * Y

    def forward(self, xp: Any, theta: Any, Y: Any, aux: Any = None) -> Any:
        mean = self._mean(xp, Y, True) if aux is None or "mean" not in aux else aux["mean"]
        mask = aux["mask"] if aux is not None and "mask" in aux else None
        centred = Y - mean
        A = theta["w"] * centred * centred
        trains = aux is None or "mean" not in aux
        A = A if mask is None else A * mask
        return A + theta["b"] * Y, (ProductTape(Y, centred, mask), {"m": mean} if trains else None)

    def _centre(self, xp: Any, tape: Any, Y: Any) -> Any:
        """``Y - m(Y)``, its own transpose; statistics from elsewhere do not vary."""
        return Y - self._mean(xp, Y, True) if tape[1] is not None else Y + 0

    def _masked(self, tape: Any, Z: Any) -> Any:
        return Z if tape[0].mask is None else Z * tape[0].mask

    def jvp(self, xp: Any, theta: Any, tape: Any, dtheta: Any, dY: Any, keep: bool = False) -> Any:
        (Y, C, _), _ = tape
        dY = 0 * Y if dY is None else dY
        dC = self._centre(xp, tape, dY)
        dA = self._masked(tape, dtheta["w"] * C * C + 2.0 * (theta["w"] * C * dC))
        return dA + dtheta["b"] * Y + theta["b"] * dY, (dY, dC) if keep else None

    def vjp(self, xp: Any, theta: Any, tape: Any, Z: Any, inputs: bool = True) -> Any:
        (Y, C, _), _ = tape
        M = self._masked(tape, Z)
        blocks = {"w": xp.sum(C * C * M, axis=0), "b": xp.sum(Y * Z, axis=0)}
        Zin = self._centre(xp, tape, 2.0 * (theta["w"] * C * M)) + theta["b"] * Z if inputs else None
        xp.scale(0.0, Z)  # donated: dead afterwards
        return blocks, Zin

    def dvjp(
        self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: bool = True
    ) -> Any:
        (Y, C, _), _ = tape
        (dY, dC), M, dM = dtape, self._masked(tape, Z), self._masked(tape, dZ)
        dblocks = {
            "w": xp.sum(2.0 * (C * dC * M) + C * C * dM, axis=0),
            "b": xp.sum(dY * Z + Y * dZ, axis=0),
        }
        Zin = dZin = None
        if inputs:
            Zin = self._centre(xp, tape, 2.0 * (theta["w"] * C * M)) + theta["b"] * Z
            moved = dtheta["w"] * C * M + theta["w"] * dC * M + theta["w"] * C * dM
            dZin = self._centre(xp, tape, 2.0 * moved) + dtheta["b"] * Z + theta["b"] * dZ
        xp.scale(0.0, Z)
        return dblocks, Zin, dZin

    def statistics(self, tape: Any) -> Any:
        return None if tape[1] is None else {"mean": tape[1]["m"]}

    def draw(self, rng: Any, n: int, shape: tuple[int, ...]) -> Any:
        return {"mask": (rng.random((n, *shape)) < 0.75).astype(float)}


# ------------------------------------------------------------------------------------------------------------- faults
class WrongVjp(Product):
    def vjp(self, xp: Any, theta: Any, tape: Any, Z: Any, inputs: bool = True) -> Any:
        blocks, Zin = super().vjp(xp, theta, tape, Z, inputs)
        return blocks | {"b": blocks["b"] * 1.001}, Zin


class WrongAltogether(Product):
    """Wrong, and consistent all the same: only Taylor and autodiff see it."""

    def jvp(self, xp: Any, theta: Any, tape: Any, dtheta: Any, dY: Any, keep: bool = False) -> Any:
        dA, dtape = super().jvp(xp, theta, tape, dtheta, dY, keep)
        return 1.001 * dA, dtape

    def vjp(self, xp: Any, theta: Any, tape: Any, Z: Any, inputs: bool = True) -> Any:
        return super().vjp(xp, theta, tape, 1.001 * Z, inputs)

    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        return super().dvjp(xp, theta, tape, dtape, dtheta, 1.001 * Z, 1.001 * dZ, inputs)


class SpoilsTapeInJvp(Product):
    def jvp(self, xp: Any, theta: Any, tape: Any, dtheta: Any, dY: Any, keep: bool = False) -> Any:
        found = super().jvp(xp, theta, tape, dtheta, dY, keep)
        xp.scale(0.5, tape[0].centred)
        return found


class SpoilsAndRestores(Product):
    """On a library that does not poison, nothing is seen of it."""

    def jvp(self, xp: Any, theta: Any, tape: Any, dtheta: Any, dY: Any, keep: bool = False) -> Any:
        xp.scale(2.0, tape[0].centred)
        xp.scale(0.5, tape[0].centred)
        return super().jvp(xp, theta, tape, dtheta, dY, keep)


class SpoilsInput(Product):
    def forward(self, xp: Any, theta: Any, Y: Any, aux: Any = None) -> Any:
        return super().forward(xp, theta, xp.scale(1.0 + 1e-6, Y), aux)


class KeepsInput(Product):
    def vjp(self, xp: Any, theta: Any, tape: Any, Z: Any, inputs: bool = True) -> Any:
        return super().vjp(xp, theta, tape, Z, True)


class WrongShapes(Product):
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"w": (self.width,), "b": (self.width, 1)}

    def init(self, rng: Any) -> dict[str, Any]:
        return Product(self.width).init(rng)


class _Faulty(Product):
    """Takes ``dvjp`` apart."""

    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        return self.spoil(*super().dvjp(xp, theta, tape, dtape, dtheta, xp.copy(Z), dZ, inputs))

    def spoil(self, dblocks: Any, Zin: Any, dZin: Any) -> Any:
        raise NotImplementedError


class WrongSignInDvjp(_Faulty):
    def spoil(self, dblocks: Any, Zin: Any, dZin: Any) -> Any:
        return dblocks | {"b": -dblocks["b"]}, Zin, dZin


class WrongZin(_Faulty):
    def spoil(self, dblocks: Any, Zin: Any, dZin: Any) -> Any:
        return dblocks, None if Zin is None else 1.001 * Zin, dZin


class KeepsInputs(_Faulty):
    def spoil(self, dblocks: Any, Zin: Any, dZin: Any) -> Any:
        return dblocks, dblocks["w"] if Zin is None else Zin, dZin


class ForgetsCurvature(Product):
    """The term with the second derivative of the square is missing, symmetrically: only Taylor and autodiff see it."""

    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        dC = dtape[1]
        still = self._centre(xp, tape, 2.0 * (theta["w"] * dC * self._masked(tape, Z)))
        dblocks, Zin, dZin = super().dvjp(xp, theta, tape, dtape, dtheta, Z, dZ, inputs)
        return dblocks, Zin, None if dZin is None else dZin - still


class ForgetsMovingZ(Product):
    """Right for dZ = 0: the symmetry holds."""

    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        return super().dvjp(xp, theta, tape, dtape, dtheta, Z, 0.0 * dZ, inputs)


class WrongWithoutInputs(Product):
    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        dblocks, *rest = super().dvjp(xp, theta, tape, dtape, dtheta, Z, dZ, inputs)
        return (dblocks if inputs else {"w": dblocks["w"], "b": 1.001 * dblocks["b"]}), *rest


class KeepMattersToJvp(Product):
    def jvp(self, xp: Any, theta: Any, tape: Any, dtheta: Any, dY: Any, keep: bool = False) -> Any:
        dA, dtape = super().jvp(xp, theta, tape, dtheta, dY, keep)
        return (1.001 * dA if keep else dA), dtape


class AlwaysKeeps(Product):
    def jvp(self, xp: Any, theta: Any, tape: Any, dtheta: Any, dY: Any, keep: bool = False) -> Any:
        return super().jvp(xp, theta, tape, dtheta, dY, True)


class SpoilsTapeInDvjp(Product):
    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        found = super().dvjp(xp, theta, tape, dtape, dtheta, Z, dZ, inputs)
        xp.scale(0.5, tape[0].centred)
        return found


class SpoilsTangentTape(Product):
    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        found = super().dvjp(xp, theta, tape, dtape, dtheta, Z, dZ, inputs)
        xp.scale(0.5, dtape[1])
        return found


class SpoilsTheUnused(Product):
    """Overwrites what no later derivative reads."""

    def forward(self, xp: Any, theta: Any, Y: Any, aux: Any = None) -> Any:
        A, tape = super().forward(xp, theta, Y, aux)
        return A, (*tape, xp.zeros((2,)))

    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        xp.set_row(tape[2], 0, tape[2][1] + 1.0)
        return super().dvjp(xp, theta, tape[:2], dtape, dtheta, Z, dZ, inputs)

    def vjp(self, xp: Any, theta: Any, tape: Any, Z: Any, inputs: bool = True) -> Any:
        return super().vjp(xp, theta, tape[:2], Z, inputs)

    def jvp(self, xp: Any, theta: Any, tape: Any, dtheta: Any, dY: Any, keep: bool = False) -> Any:
        return super().jvp(xp, theta, tape[:2], dtheta, dY, keep)


class SpoilsParameters(Product):
    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        found = super().dvjp(xp, theta, tape, dtape, dtheta, Z, dZ, inputs)
        xp.scale(1.0 + 1e-6, theta["w"])
        return found


class WrongOutput(Product):
    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] + 1,)


class StatisticsOfSums(Product):
    def statistics(self, tape: Any) -> Any:
        return None if tape[1] is None else {"mean": 2.0 * tape[1]["m"]}


class VariesStatistics(Product):
    """Differentiates through statistics that came from elsewhere."""

    def _centre(self, xp: Any, tape: Any, Y: Any) -> Any:
        return Y - self._mean(xp, Y, True)


class ForgetsMask(Product):
    def dvjp(self, xp: Any, theta: Any, tape: Any, dtape: Any, dtheta: Any, Z: Any, dZ: Any, inputs: Any = True) -> Any:
        tape = (tape[0]._replace(mask=None), tape[1])
        return super().dvjp(xp, theta, tape, dtape, dtheta, Z, dZ, inputs)


FAULTS: dict[type[Product], str] = {
    WrongVjp: "not adjoint",
    WrongAltogether: "jvp: Taylor remainders",
    SpoilsTapeInJvp: "on the same tape",
    SpoilsInput: "arguments of forward afterwards",
    KeepsInput: r"vjp\(inputs=False\) gives an input part",
    WrongShapes: "but declares",
    WrongSignInDvjp: "not symmetric",
    WrongZin: "dvjp's own Z against vjp's input part",
    KeepsInputs: r"dvjp\(inputs=False\) gives input parts",
    ForgetsCurvature: "dvjp: Taylor remainders",
    ForgetsMovingZ: "dvjp: Taylor remainders",
    WrongWithoutInputs: r"dvjp\(inputs=False\) after dY=None",
    KeepMattersToJvp: "jvp with keep=True",
    AlwaysKeeps: "without keep=True gives a tape",
    SpoilsTapeInDvjp: "on the same tape",
    SpoilsTangentTape: "a second dvjp on the same tape",
    SpoilsTheUnused: "the tape, after other uses",
    SpoilsParameters: "arguments of the derivatives afterwards",
    WrongOutput: r"where output\(\) declares",
    StatisticsOfSums: "with the statistics of the very samples",
    VariesStatistics: "with statistics of others",
    ForgetsMask: "with what it draws",
}
"""Each with what the message says."""
