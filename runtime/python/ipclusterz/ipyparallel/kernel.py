"""What ipyparallel has for kernels, joblib and ways of pickling."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..shared import pickling

__all__ = ["bind_kernel", "register_joblib_backend", "use_cloudpickle", "use_dill", "use_pickle"]


def bind_kernel(**kwargs: Any) -> Any:
    """On an engine: let frontends of Jupyter connect to it; see `ipclusterz.bind_kernel`.

    Parameters
    ----------
    **kwargs
        ``ip``: the address to listen at.

    Returns
    -------
    dict
        What is in the connection file.

    Raises
    ------
    TypeError
        For another parameter.
    """
    return import_module("ipclusterz").bind_kernel(**kwargs)


def register_joblib_backend(name: str = "ipyparallel", make_default: bool = False) -> None:
    """Let joblib run on the engines of the default cluster: ``joblib.parallel_config(backend=name)``.

    Parameters
    ----------
    name : str
        What to call it.
    make_default : bool
        Use it where no backend is named.

    Raises
    ------
    ImportError
        When joblib is not installed.
    """
    # joblib is optional.
    import_module("ipclusterz.joblib").register(name=name, make_default=make_default)


def use_cloudpickle() -> None:
    """In this process, pickle as at first; `DirectView.use_cloudpickle` does the same on engines, too."""
    pickling.use("cloudpickle")


def use_dill() -> None:
    """In this process, have dill pickle what pickle cannot; `DirectView.use_dill` does the same on engines, too.

    Raises
    ------
    ImportError
        When dill is not installed.
    """
    pickling.use("dill")


def use_pickle() -> None:
    """In this process, have pickle alone do it; `DirectView.use_pickle` does the same on engines, too."""
    pickling.use("pickle")
