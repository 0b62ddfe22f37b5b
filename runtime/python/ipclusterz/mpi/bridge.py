"""The package `ipclusterz_mpi`: the extension module for MPI, a wheel of its own."""

from __future__ import annotations

from typing import Any

from ..error import MPIError
from ..wheels import BRIDGE

__all__ = ["about", "bridge"]

_INSTALL = f"install ipclusterz-mpi where the engines run: `pip install {BRIDGE}`"

# What this version of ipclusterz uses of the extension. It changes with `INTERFACE` in mpi-bridge/src/lib.rs, and only
# when the one would not work with the other any more.
_INTERFACE = 2

_native: Any = None


def bridge() -> Any:
    """The extension module, imported at the first call.

    Raises
    ------
    MPIError
        When it is not installed, there is no MPI library for it, or it does not fit this version of ipclusterz.
    """
    global _native
    if _native is None:
        native = _package().load()
        found = getattr(native, "INTERFACE", None)
        if found != _INTERFACE:
            raise _misfit(native.VERSION, f"its interface is {found}, and must be {_INTERFACE}")
        _native = native
    return _native


def about() -> Any:
    """Which MPI library is loaded, and why that one; see `ipclusterz_mpi.about`.

    Raises
    ------
    MPIError
        When none can be loaded.
    """
    bridge()
    return _package().about()


def _package() -> Any:
    try:
        import ipclusterz_mpi  # type: ignore[import-not-found, unused-ignore]

        if not hasattr(ipclusterz_mpi, "load"):
            # The extension was all that 0.1.0 had.
            raise _misfit(getattr(ipclusterz_mpi, "VERSION", "of no known version"), "it is an older one")
        ipclusterz_mpi.about()
    except ModuleNotFoundError:
        raise _refusal("this Python has no MPI for ipclusterz", _INSTALL) from None
    except ImportError as error:
        message = getattr(error, "message", str(error))
        raise _refusal(
            f"the MPI for ipclusterz cannot be loaded: {message}", getattr(error, "hint", _INSTALL)
        ) from error
    return ipclusterz_mpi


def _misfit(theirs: str, why: str) -> MPIError:
    # Imported where it is needed alone.
    from .._core import VERSION

    return _refusal(
        f"ipclusterz-mpi {theirs} does not fit ipclusterz {VERSION}: {why}", "install both from the same release"
    )


def _refusal(message: str, hint: str) -> MPIError:
    error = MPIError(message)
    error.hint = hint
    return error
