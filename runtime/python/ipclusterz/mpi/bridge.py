"""The package `ipclusterz_mpi`: the extension module for MPI, a wheel of its own."""

from __future__ import annotations

from typing import Any

from ..error import MPIError
from ..wheels import BRIDGE

__all__ = ["INSTALL", "about", "bridge"]

# How it is installed; every message and hint that speaks of it uses these words.
INSTALL = (
    f"install ipclusterz-mpi where the engines run: `pip install {BRIDGE}`, a wheel that was built beforehand, or "
    "`pip install ./mpi-bridge` with the MPI that starts them"
)

# What this version of ipclusterz uses of the extension. It changes with `INTERFACE` in `mpi-bridge/src/lib.rs`, and only
# when the one would not work with the other any more.
_INTERFACE = 1

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
            # Imported where it is needed alone.
            from .._core import VERSION

            raise _refusal(
                f"ipclusterz-mpi {native.VERSION} does not fit ipclusterz {VERSION}: its interface is {found}, and "
                f"must be {_INTERFACE}",
                "install both from the same release",
            )
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

        ipclusterz_mpi.about()
    except ModuleNotFoundError:
        raise _refusal("this Python has no MPI for ipclusterz", INSTALL) from None
    except ImportError as error:
        message = getattr(error, "message", str(error))
        raise _refusal(
            f"the MPI for ipclusterz cannot be loaded: {message}", getattr(error, "hint", INSTALL)
        ) from error
    return ipclusterz_mpi


def _refusal(message: str, hint: str) -> MPIError:
    error = MPIError(message)
    error.hint = hint
    return error
