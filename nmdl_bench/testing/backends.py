"""``check_backend``: every verb of the interface against NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.testing.case import Case
from nmdl_bench.testing.convolutions import check_convolutions, check_transforms
from nmdl_bench.testing.dense import check_dense
from nmdl_bench.testing.derivatives import check_derivatives
from nmdl_bench.testing.errors import host_reals, require
from nmdl_bench.testing.kernels import check_kernels
from nmdl_bench.testing.scalars import check_scalars

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def check_backend(xp: Backend) -> None:
    """Hold a backend against NumPy: data, verbs, donation, kernels, control flow, recording, scalars, devices.

    Parameters
    ----------
    xp : Backend
        Such as ``get_backend("mylib:cpu", "float32")``, or an instance of your own subclass.

    Raises
    ------
    CheckError
        A verb gives something else than the interface says; the sentence names it.

    Examples
    --------
    >>> from nmdl_bench.backends import get_backend
    >>> from nmdl_bench.testing import check_backend
    >>> check_backend(get_backend("numpy", "float32"))
    """
    case = Case(xp)
    with xp.scope():
        for check in (
            _data,
            _recording,
            _elementwise,
            _reductions,
            _slices,
            _donating,
            check_kernels,
            check_convolutions,
            check_transforms,
            check_dense,
            _freshness,
            check_derivatives,  # of functions that copy
            _loops,
            _scans,
            _tables,
            _device,
        ):
            check(case)
        check_scalars(xp)


def _data(case: Case) -> None:
    xp, a = case.xp, case.draw(4, 3)
    require(xp.dtype_name in ("float32", "float64"), f"dtype_name of {xp!r} is {xp.dtype_name!r}")
    require(xp.eps == np.finfo(xp.dtype_name).eps, f"eps of {xp!r} is {xp.eps!r}")
    require(xp.key == (xp.library, xp.device, xp.dtype_name), f"key of {xp!r} is {xp.key!r}")
    host = a.copy()
    x = case.attempt("asarray", lambda: xp.asarray(host))
    host[:] = 0.0
    case.equal("asarray, after its source was overwritten,", x, a, exact=True)
    back = xp.to_numpy(x)
    require(isinstance(back, np.ndarray) and back.flags.writeable, f"to_numpy on {xp!r} gives no writable NumPy array")
    back[:] = 0.0
    case.equal("to_numpy, after its last value was overwritten,", x, a, exact=True)
    indices = xp.to_numpy(xp.asarray(np.array([2, 0, 3])))
    require(indices.dtype.kind in "iu", f"asarray of integers on {xp!r} gives {indices.dtype}")
    case.equal("asarray of a list", xp.asarray([1.0, 2.0]), np.array([1.0, 2.0]), exact=True)
    for host in (np.array([2, 0, 3]), np.array([[0.5, 0.25]])):
        for _ in range(2):
            case.equal("constant", case.attempt("constant", xp.constant, host), host, exact=True)
        host *= 2
        case.equal("constant of another value", xp.constant(host), host, exact=True)
    case.equal("zeros", xp.zeros((2, 3)), np.zeros((2, 3)), exact=True)
    case.equal("copy", xp.copy(x), a, exact=True)
    case.equal("one_hot", xp.one_hot(xp.s.int(1), 4), np.eye(4)[1], exact=True)
    require(tuple(x.shape) == (4, 3), f"shape of an array on {xp!r} is {x.shape!r}")


def _elementwise(case: Case) -> None:
    xp, a, b = case.xp, case.draw(4, 3), case.draw(4, 3)
    x, y = xp.asarray(a), xp.asarray(b)
    for name in ("abs", "atan", "cos", "exp", "expm1", "sin", "tanh"):
        case.equal(name, case.attempt(name, partial(getattr(xp, name), x)), getattr(np, name)(a))
    for name in ("log", "log1p", "sqrt"):
        positive = xp.asarray(np.abs(a) + 0.5)
        expected = getattr(np, name)((np.abs(a) + 0.5).astype(xp.dtype_name).astype(np.float64))
        case.equal(name, getattr(xp, name)(positive), expected)
    wide = np.array([-30.0, -1.0, -1e-3, -0.0, 0.5, 2.0, 30.0, -np.inf, np.inf, np.nan]).astype(xp.dtype_name)
    erf = [math.erf(v) for v in wide]
    case.equal("erf", case.attempt("erf", xp.erf, xp.asarray(wide)), np.array(erf))
    with np.errstate(all="ignore"):
        special = np.array([-np.inf, -1.0, -0.0, 0.0, np.inf, np.nan])
        for name in ("abs", "exp", "expm1", "log", "log1p", "sqrt", "tanh"):
            got = getattr(xp, name)(xp.asarray(special))
            case.equal(f"{name} of {special.tolist()}", got, getattr(np, name)(special))
    case.equal("x + y", x + y, a + b)
    case.equal("x - 2 y", x - 2.0 * y, a - 2 * b)
    case.equal("x * y / 4", x * y / 4.0, a * b / 4)
    case.equal("1 - x", 1 - x, 1 - a)
    case.equal("-x", -x, -a, exact=True)
    case.equal("s x for a scalar s", xp.s.const(1.5) * x, 1.5 * a)
    case.equal("x s for a scalar s", x * xp.s.const(1.5), 1.5 * a)
    case.equal("x + s for a scalar s", x + xp.s.const(1.5), a + 1.5)
    case.equal("x.T @ y", x.T @ y, a.T @ b)
    case.equal("where", xp.where(x > y, x, y), np.where(a > b, a, b), exact=True)
    case.equal("where at NaN", xp.where(xp.asarray([np.nan]) > 0, xp.zeros((1,)), xp.asarray([2.0])), np.array([2.0]))


def _reductions(case: Case) -> None:
    xp, a, u, v = case.xp, case.draw(4, 3), case.draw(6), case.draw(6)
    x, p, q = xp.asarray(a), xp.asarray(u), xp.asarray(v)
    for axis in (0, 1):
        case.equal(f"sum over axis {axis}", xp.sum(x, axis=axis), a.sum(axis))
        case.equal(f"sum over axis {axis}, kept,", xp.sum(x, axis=axis, keepdims=True), a.sum(axis, keepdims=True))
        case.equal(f"max over axis {axis}, kept,", xp.max(x, axis=axis, keepdims=True), a.max(axis, keepdims=True))
    c = case.draw(2, 3, 4, 5)
    image = xp.asarray(c)
    for axes in ((2, 3), (0, 2, 3)):
        case.equal(f"sum over axes {axes}", xp.sum(image, axis=axes), c.sum(axes))
        kept = xp.sum(image, axis=axes, keepdims=True)
        case.equal(f"sum over axes {axes}, kept,", kept, c.sum(axes, keepdims=True))
    case.scalar("dot", case.attempt("dot", lambda: xp.dot(p, q)), u @ v)
    case.scalar("total", xp.total(x), a.sum())
    case.scalar("norm_inf", xp.norm_inf(p), np.abs(u).max())
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = xp.asarray(np.array([1.0, bad, -3.0]))
        case.scalar(f"norm_inf of a vector with {bad}", xp.norm_inf(spoilt), abs(bad))
        case.scalar(f"total of a vector with {bad}", xp.total(spoilt), bad)
        case.scalar(f"dot of a vector with {bad}", xp.dot(spoilt, xp.asarray(np.ones(3))), bad)


def _slices(case: Case) -> None:
    xp, a, b = case.xp, case.draw(5, 3), case.draw(5, 3)
    x, y = xp.asarray(a), xp.asarray(b)
    rows, columns = np.array([4, 0, 0, 2]), np.array([2, 0])
    case.equal("take of rows", xp.take(x, xp.asarray(rows)), a[rows], exact=True)
    case.equal("take of columns", xp.take(x, xp.asarray(columns), axis=1), a[:, columns], exact=True)
    case.equal("concat", xp.concat([x, y]), np.concatenate([a, b]), exact=True)
    case.equal("concat over axis 1", xp.concat([x, y], axis=1), np.concatenate([a, b], axis=1), exact=True)
    case.equal("stack", xp.stack([x, y]), np.stack([a, b]), exact=True)
    case.equal("reshape", xp.reshape(x, (3, 5)), a.reshape(3, 5), exact=True)
    case.equal("reshape to a vector", xp.reshape(x, (-1,)), a.ravel(), exact=True)
    flat = xp.reshape(x, (15,))
    case.equal(
        "a slice of a vector, reshaped,", xp.reshape(flat[3:9], (2, 3)), a.ravel()[3:9].reshape(2, 3), exact=True
    )
    case.equal("a column", x[:, 1], a[:, 1], exact=True)
    filled = np.where(np.arange(5)[:, None] < 2, a, 0.0)
    for j in (2, 5):
        top = case.attempt("head", xp.head, xp.asarray(filled), xp.s.int(j))
        require(tuple(top.shape) in ((j, 3), (5, 3)), f"head of {j} rows on {xp!r} has the shape {tuple(top.shape)!r}")
        case.equal("a product with head", (top @ xp.asarray(b[0])) @ top, filled.T @ (filled @ b[0]))
    c = case.draw(2, 3, 4)
    turned = case.attempt("permute_dims", xp.permute_dims, xp.asarray(c), (1, 2, 0))
    case.equal("permute_dims", turned, c.transpose(1, 2, 0), exact=True)
    case.equal("permute_dims, reshaped,", xp.reshape(turned, (12, 2)), c.transpose(1, 2, 0).reshape(12, 2), exact=True)
    d = case.draw(4, 5)
    case.equal("a product of stacked matrices with one", xp.asarray(c) @ xp.asarray(d), c @ d)


def _donating(case: Case) -> None:
    """Each verb with host and backend scalars; only the named argument may change."""
    xp = case.xp
    u, v, A, B, C, r, c = (case.draw(*shape) for shape in ((6,), (6,), (4, 3), (4, 2), (2, 3), (3,), (4,)))
    T = case.draw(2, 4, 3)
    cases: list[tuple[str, int, tuple[Any, ...], np.ndarray]] = [
        ("axpy", 2, (1.5, u, v), 1.5 * u + v),
        ("aypx", 2, (1.5, u, v), 1.5 * v + u),
        ("axpby", 3, (1.5, u, -0.5, v), 1.5 * u - 0.5 * v),
        ("scale", 1, (1.5, u), 1.5 * u),
        ("addmm", 0, (A, B, C), A + B @ C),
        ("set_row", 0, (A, 2, r), np.concatenate([A[:2], r[None], A[3:]])),
        ("set_row", 0, (T, 1, A), np.stack([T[0], A])),
        ("set_column", 0, (A, 1, c), np.stack([A[:, 0], c, A[:, 2]], axis=1)),
    ]
    for verb, donated, args, expected in cases:
        for real in (lambda a: a, xp.s.const):
            given = [
                xp.asarray(a) if isinstance(a, np.ndarray) else xp.s.int(a) if isinstance(a, int) else real(a)
                for a in args
            ]
            got = case.attempt(verb, partial(getattr(xp, verb), *given))
            case.equal(verb, got, expected)
            for i, a in enumerate(args):
                if i != donated and isinstance(a, np.ndarray):
                    case.equal(f"argument {i} of {verb}, which is not donated,", given[i], a, exact=True)
    got = xp.addmm(xp.asarray(A), xp.asarray(B), xp.asarray(C), 0.25)
    case.equal("addmm with a factor", got, A + 0.25 * B @ C)
    B, C = case.draw(A.shape[0], 7), case.draw(7, A.shape[1])
    case.equal("addmm of many terms", xp.addmm(xp.asarray(A), xp.asarray(B), xp.asarray(C)), A + B @ C)


def _freshness(case: Case) -> None:
    """What is to be a fresh array may be donated without harm to what it was made from."""
    xp, a, b, K = case.xp, case.draw(4, 4), case.draw(4, 4), case.draw(4)
    makers: list[tuple[str, Callable[..., Any]]] = [
        ("copy", lambda x, y, k: xp.copy(x)),
        ("add_scaled by zero", lambda x, y, k: xp.add_scaled(x, 0.0, y)),
        ("affine", lambda x, y, k: xp.affine(x, y, k)),
        ("act_tanh_derivative", lambda x, y, k: xp.act_tanh_derivative(x, y)),
        ("act_relu_derivative", lambda x, y, k: xp.act_relu_derivative(x, y)),
        ("act_leaky_relu_derivative", lambda x, y, k: xp.act_leaky_relu_derivative(x, y, 0.25)),
        ("act_softplus_derivative", lambda x, y, k: xp.act_softplus_derivative(x, y)),
        ("act_smoothed_relu", lambda x, y, k: xp.act_smoothed_relu(x, 0.5)),
        ("act_smoothed_relu_derivative", lambda x, y, k: xp.act_smoothed_relu_derivative(x, y, 0.5)),
        ("act_silu", lambda x, y, k: xp.act_silu(x)),
        ("act_silu_derivative", lambda x, y, k: xp.act_silu_derivative(x, y)),
        ("act_gelu", lambda x, y, k: xp.act_gelu(x)),
        ("act_gelu_derivative", lambda x, y, k: xp.act_gelu_derivative(x, y)),
        ("sin", lambda x, y, k: xp.sin(x)),
        ("cos", lambda x, y, k: xp.cos(x)),
        ("erf", lambda x, y, k: xp.erf(x)),
        ("avg_pool2d by 1", lambda x, y, k: xp.avg_pool2d(xp.reshape(x, (1, 1, 4, 4)), 1)),
        ("avg_pool2d_transpose by 1", lambda x, y, k: xp.avg_pool2d_transpose(xp.reshape(x, (1, 1, 4, 4)), 1)),
        ("take", lambda x, y, k: xp.take(x, xp.asarray(np.arange(4)))),
    ]
    for name, make in makers:
        args = [xp.asarray(host) for host in (a, b, K)]
        xp.scale(0.0, make(*args))
        for x, host in zip(args, (a, b, K)):
            case.equal(f"an argument of {name}, after its result was donated,", x, host, exact=True)


class _State(NamedTuple):
    x: Any
    f: Any
    k: Any


def _loops(case: Case) -> None:
    xp, u = case.xp, case.draw(3)
    s = xp.s
    for sign in (1.0, -1.0):
        chosen = xp.cond(s.const(sign) > 0, lambda x: xp.scale(2.0, x), lambda x: -x, xp.asarray(u))
        case.equal(f"cond, {sign > 0},", chosen, 2 * u if sign > 0 else -u)
        S, A = case.draw(2, 3), case.draw(3)
        put = case.attempt("put", xp.put, xp.asarray(S), s.int(1), xp.asarray(A), s.const(sign) > 0)
        case.equal(f"put where it is {sign > 0}", put, np.stack([S[0], A]) if sign > 0 else S)

    def run(limit: int) -> _State:
        def body(state: _State) -> _State:
            x = xp.cond(
                s.mod(state.k, 2) == 0, lambda x: xp.scale(0.5, x), lambda x: xp.axpy(1.0, xp.zeros((3,)), x), state.x
            )
            return _State(x, state.f + xp.dot(x, x), state.k + 1)

        start = _State(xp.asarray(u), s.const(0.0), s.int(0))
        return xp.while_loop(lambda state: s.and_(state.k < limit, s.isfinite(state.f)), body, start)

    x = u.copy()
    f: Any = 0.0
    for k in range(5):
        x = 0.5 * x if k % 2 == 0 else x
        f += x @ x
    end = case.attempt("while_loop", lambda: run(5))
    case.equal("while_loop's array", end.x, x)
    case.scalar("while_loop's real", end.f, f)
    require(int(host_reals(xp, [s.real(end.k)])[0]) == 5, f"while_loop on {xp!r} runs a wrong number of times")
    case.equal("while_loop whose condition fails at once", run(0).x, u, exact=True)

    def note(carry: Any) -> Any:
        k, table = carry
        return k + 1, xp.record(table, k, (s.real(k),))

    _, table = case.attempt(
        "record in a loop", lambda: xp.while_loop(lambda c: c[0] < 3, note, (s.int(0), xp.recorder(3, 1)))
    )
    rows = xp.recorded(table)[:, 0].tolist()
    require(rows == [0.0, 1.0, 2.0], f"record in a while_loop on {xp!r} leaves {rows}")

    compiled = xp.compile(lambda a, y, state: (xp.axpy(a, y, state["x"]), xp.dot(y, y)), donate=(2,))
    for a in (2.0, -1.0):
        got, norm = case.attempt(
            "a compiled function", partial(compiled, s.const(a), xp.asarray(u), {"x": xp.asarray(u)})
        )
        case.equal("a compiled function's array", got, (1 + a) * u)
        case.scalar("a compiled function's scalar", norm, u @ u)


def _scans(case: Case) -> None:
    xp, K, b, y0 = case.xp, case.draw(3, 2, 2), case.draw(3, 2), case.draw(1, 2)
    theta = {"K": xp.asarray(K), "b": xp.asarray(b)}

    def step(y: Any, layer: dict[str, Any]) -> tuple[Any, tuple[Any, dict[str, Any]]]:
        return xp.affine(y, layer["K"], layer["b"]), (y, {"sum": xp.column_sum(y)})

    def back(z: Any, layer: Any) -> tuple[Any, Any]:
        theta_j, (y, kept) = layer
        return z @ theta_j["K"].T + y, {"K": y.T @ z, "b": kept["sum"]}

    ys, zs = [y0], [np.ones((1, 2))]
    for j in range(3):
        ys.append(ys[-1] @ K[j] + b[j])
    gradients: list[Any] = []
    for j in reversed(range(3)):
        gradients.insert(0, (ys[j].T @ zs[-1], ys[j].sum(0)))
        zs.append(zs[-1] @ K[j].T + ys[j])

    y, _ = case.attempt("scan, unrolled,", lambda: xp.scan(step, xp.asarray(y0), theta, unroll=True))
    case.equal("scan, unrolled,", y, ys[-1])
    y, tape = case.attempt("scan", lambda: xp.scan(step, xp.asarray(y0), theta))
    case.equal("scan", y, ys[-1])
    z, blocks = case.attempt(
        "reverse scan", lambda: xp.scan(back, xp.asarray(np.ones((1, 2))), (theta, tape), reverse=True)
    )
    case.equal("reverse scan over what a scan stacked", z, zs[-1])
    flat = case.attempt("ravel", lambda: xp.ravel([blocks["K"], xp.asarray(y0), blocks["b"]]))
    expected = np.concatenate([*(g.ravel() for g, _ in gradients), y0.ravel(), *(g for _, g in gradients)])
    case.equal("ravel of what a scan stacked", flat, expected)
    case.equal(
        "ravel of arrays", xp.ravel([theta["K"], theta["b"]]), np.concatenate([K.ravel(), b.ravel()]), exact=True
    )

    def nested(y: Any, layer: Any) -> tuple[Any, None]:
        return xp.scan(lambda y, _: (y + layer["b"], None), y, theta["b"])[0], None

    got, nothing = case.attempt("scan in a scan", lambda: xp.scan(nested, xp.asarray(y0), theta))
    case.equal("scan in a scan", got, y0 + 3 * b.sum(0))
    require(nothing is None, f"scan on {xp!r} stacks None as {nothing!r}")

    order = np.array([[0, 2], [1, 1]])
    table = xp.asarray(K[:, 0])
    got = xp.scan(lambda y, i: (y + xp.column_sum(xp.take(table, i)), None), xp.zeros((2,)), xp.asarray(order))[0]
    case.equal("scan over an index matrix", got, K[order.ravel(), 0].sum(0))


def _tables(case: Case) -> None:
    """``loop``: integers of a table that index, and enter into arithmetic and choices."""
    xp, s, T, u = case.xp, case.xp.s, case.draw(3, 2, 2), case.draw(2)
    table = np.array([[0, 1], [2, 0], [1, 2], [2, 2]])

    def body(carry: Any, row: Any) -> Any:
        S, total = carry
        i, j = row
        weight = s.where(i == j, s.const(2.0), s.real(2 * i - j + 1))
        S = xp.set_row(S, i, S[j, ...] * weight + xp.constant(u))
        return S, xp.axpy(1.0, xp.one_hot(j, 3), total)

    S, total = T.copy(), np.zeros(3)
    for i, j in table:
        S[i] = S[j] * (2.0 if i == j else 2 * i - j + 1) + u
        total[j] += 1
    apply = xp.compile(lambda S, total: xp.loop(body, (S, total), table))
    for _ in range(2):  # a constant made inside a compiled function must not outlive it
        got = case.attempt("loop", apply, xp.asarray(T), xp.zeros((3,)))
        case.equal("loop's rows", got[0], S)
        case.equal("loop's count", got[1], total)
    case.equal("constant after a loop that used it", xp.constant(u) * 1.0, u, exact=True)
    nothing = xp.loop(lambda x, row: xp.scale(2.0, x), xp.asarray(u), np.zeros((0, 2), dtype=int))
    case.equal("loop over an empty table", nothing, u, exact=True)


def _recording(case: Case) -> None:
    xp, s = case.xp, case.xp.s
    table = xp.recorder(3, 2)
    for row in range(2):
        values = (s.real(s.int(row)), s.const(math.inf))
        table = case.attempt("record", partial(xp.record, table, s.int(row), values))
    rows = xp.recorded(table)
    is_float64 = isinstance(rows, np.ndarray) and rows.dtype == np.float64
    require(is_float64, f"recorded on {xp!r} gives no float64 NumPy array")
    expected = np.array([[0.0, math.inf], [1.0, math.inf], [math.nan, math.nan]])
    require(np.array_equal(rows, expected, equal_nan=True), f"recorded on {xp!r} gives {rows.tolist()}")


def _device(case: Case) -> None:
    xp = case.xp
    x = xp.asarray(case.draw(3))
    case.attempt("synchronize", xp.synchronize)
    case.attempt("synchronize of a tree", partial(xp.synchronize, {"x": x, "none": None}))
    xp.memory_reset()
    peak = xp.memory_peak()
    require(peak is None or (isinstance(peak, int) and peak >= 0), f"memory_peak on {xp!r} gives {peak!r}")
    value, seconds = xp.elapsed(lambda: 5)
    require(value == 5 and (seconds is None or seconds >= 0), f"elapsed on {xp!r} gives {value!r}, {seconds!r}")
