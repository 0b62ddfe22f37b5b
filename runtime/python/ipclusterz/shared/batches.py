"""What an engine does with a batch of joblib's tasks; see `client.backend`. joblib and threadpoolctl are optional."""

from __future__ import annotations

import contextlib
import os
import sys

from joblib.parallel import BatchedCalls  # type: ignore[import-untyped]

from ..compat import zip_equal
from .threads import OPENMP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["run", "run_limited"]

# What threadpoolctl controls, once it is loaded; it is loaded with these.
_LOADED_WITH = (OPENMP, "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
# What has threads of its own, and functions to ask and to say how many.
_OTHERS = ("numba", "numexpr")


def run(
    functions: list[Callable[..., Any]], nested: Any, limit: int | None, arguments: list[tuple[Any, Any]]
) -> list[Any]:
    """Run a batch, with at most `limit` threads of BLAS and the like."""
    batch = BatchedCalls([(function, *given) for function, given in zip_equal(functions, arguments)], nested)
    results: list[Any] = batch() if limit is None else run_limited(limit, batch)
    return results


def run_unlimited(batch: Callable[[], Any]) -> Any:
    """Run a batch."""
    return batch()


def run_limited(limit: int, batch: Callable[[], Any]) -> Any:
    """Run a batch with at most `limit` threads of BLAS, OpenMP and the like."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise ImportError(
            "inner_max_num_threads needs the package threadpoolctl on the engines: pip install threadpoolctl"
        ) from None
    before = ThreadpoolController()
    usual = os.environ.get(OPENMP)
    with before.limit(limits=limit), _limited_others(limit), _loaded_with(limit):
        result = batch()
    loaded = {library.filepath for library in before.lib_controllers}
    for library in ThreadpoolController().lib_controllers:
        if library.filepath not in loaded and usual is not None and usual.isdecimal():
            # The batch has loaded it, and other calls are not to be limited.
            library.set_num_threads(int(usual))
    return result


@contextlib.contextmanager
def _loaded_with(limit: int) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _LOADED_WITH}
    os.environ.update(dict.fromkeys(_LOADED_WITH, str(limit)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _limited_others(limit: int) -> Iterator[None]:
    modules = [sys.modules[name] for name in _OTHERS if hasattr(sys.modules.get(name), "get_num_threads")]
    before = [module.get_num_threads() for module in modules]
    try:
        for module, usual in zip_equal(modules, before):
            module.set_num_threads(min(limit, usual))
        yield
    finally:
        for module, usual in zip_equal(modules, before):
            module.set_num_threads(usual)
