"""The layers that networks are built of most often, under their usual names."""

from __future__ import annotations

from nmdl_bench.networks.checks import check_sizes
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernels import DenseKernel
from nmdl_bench.networks.parts import Chain
from nmdl_bench.networks.rhs import single


def Dense(inputs: int, outputs: int, activation: str = "identity") -> Chain:
    """``A = s(Y K + b)`` for Y (n, inputs), K (inputs, outputs), b (outputs,).

    Serves as opening layer, and with the identity as linear classifier ``S = Y W + mu``.

    Parameters
    ----------
    inputs, outputs : int
        Number of features.
    activation : str
        Name in :data:`~nmdl_bench.networks.activations.ACTIVATIONS`.
    """
    return single(DenseKernel(inputs, outputs), activation, outputs=outputs)


def EulerBlock(width: int, depth: int, time: float = 1.0, activation: str = "tanh") -> Evolution:
    """``depth`` steps of forward Euler, ``Y_{j+1} = Y_j + h s(Y_j K_j + b_j)`` with ``h = time / depth``.

    Parameters
    ----------
    width : int
        Number of features.
    depth : int
        Number of steps.
    time : float
        Final time, > 0.
    activation : str
        Name in :data:`~nmdl_bench.networks.activations.ACTIVATIONS`.
    """
    check_sizes(width=width, depth=depth)
    return Evolution(single(DenseKernel(width, width), activation), depth, time)
