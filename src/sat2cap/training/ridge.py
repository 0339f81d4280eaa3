"""Ridge regression in closed form, with one block of regressors left out of a share of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RidgeProblem:
    """The sums over N rows that decide a ridge regression, which need far less memory than the rows."""

    gram: Floats
    """Products of the regressors, expected over the dropout: shape (F, F)."""
    cross: Floats
    """Products of regressors and targets, likewise: shape (F, D)."""
    count: int
    """Number of rows, N."""

    def solve_all(self, strengths: Sequence[float]) -> list[Floats]:
        """Return the coefficients (F, D) for each strength, which is relative to regressors of mean square 1.

        The regressors' products are decomposed once, after which each strength costs a matrix product.
        """
        values, vectors = np.linalg.eigh(self.gram)
        rotated = vectors.T @ self.cross
        values = np.maximum(values, 0)
        return [vectors @ (rotated / (values + strength * self.count)[:, None]) for strength in strengths]


def build_ridge_problem(
    always: NDArray[np.floating],
    sometimes: NDArray[np.floating],
    targets: NDArray[np.floating],
    dropout: float,
) -> RidgeProblem:
    """Return the problem of predicting `targets` (N, D) from two blocks of regressors, (N, A) and (N, B).

    The least squares are those of ``|y - x W - k z V|^2`` in expectation, with k = 0 for a share `dropout` of
    the rows and 1 for the others: every product with `sometimes` is multiplied by ``1 - dropout``.
    """
    x, z, y = (np.asarray(block, np.float64) for block in (always, sometimes, targets))
    keep = 1 - dropout
    gram = np.block([[x.T @ x, keep * (x.T @ z)], [keep * (z.T @ x), keep * (z.T @ z)]])
    return RidgeProblem(gram, np.concatenate([x.T @ y, keep * (z.T @ y)]), len(x))


def dropout_error(
    coefficients: Floats,
    always: NDArray[np.floating],
    sometimes: NDArray[np.floating],
    targets: NDArray[np.floating],
    dropout: float,
) -> float:
    """Return the mean squared error of a row that `build_ridge_problem` minimises, on N other rows.

    `always` ``(N, A)`` are the regressors that every row has, `sometimes` ``(N, B)`` those that are left out
    with probability `dropout`; `targets` are ``(N, D)``, and `coefficients` ``(A + B, D)``.
    """
    split = always.shape[1]
    without = targets - always @ coefficients[:split]
    whole = without - sometimes @ coefficients[split:]
    squares = [float((error**2).sum(axis=1).mean()) for error in (whole, without)]
    return (1 - dropout) * squares[0] + dropout * squares[1]
