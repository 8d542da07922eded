"""Which kernel a layer's block of weights belongs to."""

from __future__ import annotations

from typing import Any

from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.imex import Imex
from nmdl_bench.networks.kernel_algebra import Derived, SumKernel, rename
from nmdl_bench.networks.kernels import CirculantKernel, ConvKernel, DenseKernel, Kernel
from nmdl_bench.networks.parts import Affine, Chain
from nmdl_bench.networks.rhs import Hamiltonian
from nmdl_bench.networks.sparse import SparseKernel


def weights_of(layer: Any) -> dict[str, Kernel]:
    """The kernel of each block of weights of a layer, by the block's name; biases and scales have none.

    Kernels that use another one's weights (transposed, antisymmetric, sums) are not named, but what they use.
    """
    if isinstance(layer, Evolution):
        own = _base(rename(layer.integrator.kernel, "_implicit")) if isinstance(layer.integrator, Imex) else {}
        return {**weights_of(layer.rhs), **own}
    if isinstance(layer, Hamiltonian):
        ends = ("",) if layer.shared else ("_1", "_2")
        fields = zip(ends, layer.fields)
        return {name + end: kernel for end, field in fields for name, kernel in weights_of(field).items()}
    if isinstance(layer, Chain):
        return {name: kernel for part in layer.parts for name, kernel in weights_of(part).items()}
    return _base(layer.kernel) if isinstance(layer, Affine) else {}


def _base(kernel: Any) -> dict[str, Kernel]:
    if isinstance(kernel, Derived):
        return _base(kernel.kernel)
    if isinstance(kernel, SumKernel):
        return {name: base for one in kernel.kernels for name, base in _base(one).items()}
    return dict.fromkeys(kernel.shapes(), kernel)


def fans(kernel: Kernel) -> tuple[float, float]:
    """Fan in and fan out: inputs that an output depends on, and outputs that an input goes to.

    For a stencil away from the image's boundary; at stride s an input goes to fewer outputs, which is not counted (as
    is usual). For a sparse kernel means are taken. A kernel of another kind counts as one weight a feature.
    """
    if isinstance(kernel, DenseKernel):
        return kernel.inputs, kernel.outputs
    if isinstance(kernel, ConvKernel | CirculantKernel):
        area = kernel.size**2
        return (area, area) if kernel.depthwise else (kernel.inputs * area, kernel.outputs * area)
    if isinstance(kernel, SparseKernel):
        return len(kernel.pairs) / kernel.outputs, len(kernel.pairs) / kernel.inputs
    return 1, 1
