"""The variables that say how many threads BLAS, OpenMP and the like use. A library reads its own when it is loaded."""

from __future__ import annotations

__all__ = ["OPENMP", "VARIABLES"]

OPENMP = "OMP_NUM_THREADS"
"""The variable that most of the other libraries follow, too, when their own is not set."""

VARIABLES = (
    OPENMP,
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
