"""Factorisations against what defines them, and what they give where there is none."""

from __future__ import annotations

from functools import partial

import numpy as np

from nmdl_bench.testing.case import Case
from nmdl_bench.testing.errors import require


def check_dense(case: Case) -> None:
    """QR, SVD, eigenvalues, Cholesky and solves: products give the matrix again, and bad matrices give NaN."""
    _factorisations(case)
    _solves(case)
    _bad_matrices(case)


def _factorisations(case: Case) -> None:
    xp = case.xp
    for shape in ((5, 3), (3, 3), (3, 5)):
        k, A = min(shape), case.draw(*shape)
        Q, R = case.attempt("qr", xp.qr, xp.asarray(A))
        case.equal(f"Q R of {shape}", Q @ R, A)
        case.equal(f"Q^T Q of {shape}", Q.T @ Q, np.eye(k))
        case.equal(f"what is below R's diagonal, of {shape},", R, np.triu(xp.to_numpy(R)), exact=True)
        T = case.attempt("triangle", xp.triangle, xp.asarray(A))
        case.equal(f"R^T R of {shape}", T.T @ T, A.T @ A)
        case.equal(f"what is below the triangle of {shape}", T, np.triu(xp.to_numpy(T)), exact=True)
        U, s, Vt = case.attempt("svd", xp.svd, xp.asarray(A))
        case.equal(f"singular values of {shape}", s, np.linalg.svd(A, compute_uv=False))
        case.equal(f"U S V^T of {shape}", (U * s) @ Vt, A)
    for n in (1, 4):
        case.equal(f"eye({n})", case.attempt("eye", xp.eye, n), np.eye(n), exact=True)
    B = case.draw(4, 4)
    S = B @ B.T + np.eye(4)
    w, V = case.attempt("eigh", xp.eigh, xp.asarray(S))
    case.equal("eigenvalues", w, np.linalg.eigvalsh(S))
    case.equal("V diag(w) V^T", (V * w) @ V.T, S)
    L = case.attempt("cholesky", xp.cholesky, xp.asarray(S))
    case.equal("cholesky", L, np.linalg.cholesky(S))


def _solves(case: Case) -> None:
    xp, A = case.xp, case.draw(4, 4) + 4 * np.eye(4)
    for B in (case.draw(4), case.draw(4, 2)):
        X = case.attempt("solve", xp.solve, xp.asarray(A), xp.asarray(B))
        case.equal("solve", X, np.linalg.solve(A, B))
        for lower, T in ((False, np.triu(A)), (True, np.tril(A))):
            solve = partial(xp.solve_triangular, lower=lower)
            X = case.attempt("solve_triangular", solve, xp.asarray(T), xp.asarray(B))
            case.equal(f"solve_triangular, lower={lower},", X, np.linalg.solve(T, B))


def _bad_matrices(case: Case) -> None:
    xp = case.xp
    bad = xp.asarray(np.array([[1.0, np.nan], [np.nan, 2.0]]))
    infinite = xp.asarray(np.diag([-np.inf, 0.0, 0.0]))
    found = {
        "svd of infinities": xp.svd(infinite)[1],
        "eigh of infinities": xp.eigh(infinite)[0],
        "svd of NaN": xp.svd(bad)[1],
        "eigh of NaN": xp.eigh(bad)[0],
        "cholesky of NaN": xp.cholesky(bad),
        "qr of NaN": xp.qr(bad)[1],
        "triangle of NaN": xp.triangle(bad),
        "cholesky of an indefinite matrix": xp.cholesky(xp.asarray(np.array([[1.0, 2.0], [2.0, 1.0]]))),
        "solve with a singular matrix": xp.solve(xp.asarray(np.zeros((2, 2))), xp.asarray(np.ones(2))),
        "solve_triangular with a singular matrix": xp.solve_triangular(
            xp.asarray(np.zeros((2, 2))), xp.asarray(np.ones(2))
        ),
    }
    for what, got in found.items():
        require(not np.all(np.isfinite(xp.to_numpy(got))), f"{what} on {xp!r} gives {xp.to_numpy(got).tolist()}")
