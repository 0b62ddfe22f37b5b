"""`bind_kernel`: an engine as a kernel of Jupyter, to which frontends connect beside the cluster's clients."""

from __future__ import annotations

from ..shared.own import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["bind_kernel"]

_bound: dict[str, Any] | None = None


def bind_kernel(*, ip: str = "127.0.0.1") -> dict[str, Any]:
    """On an engine: let frontends of Jupyter connect to it, as to any kernel, until the engine ends.

    Cells of a frontend see the engine's names, run on its main thread between the tasks of the cluster, and share
    IPython's history and numbers with those of ``%px``. What they write goes to the frontend. A frontend interrupts its
    own cells alone, and cannot end the engine.

    Parameters
    ----------
    ip : str
        The address of the engine's host at which the kernel listens. Whoever reaches it needs the key in the connection
        file to have anything run, and can read what cells write without it.

    Returns
    -------
    dict
        What is in the connection file, which only this user can read, with its path as ``connection_file``. Called
        again, the same.

    Raises
    ------
    RuntimeError
        When this is no engine.
    ImportError
        When the engine's Python has no ipykernel.
    TypeError
        When `ip` is no text.
    ValueError
        When it cannot listen at `ip`.

    Examples
    --------
    >>> import ipclusterz as ipz
    >>> info = rc[0].apply_sync(ipz.bind_kernel)
    [stdout:0] engine 0: jupyter console --existing .../kernel-default-0-....json
    >>> sorted(info)[:3]
    ['connection_file', 'control_port', 'hb_port']

    Then, on the engine's host: ``jupyter console --existing FILE``, with that file.
    """
    global _bound
    engine: Any = here()
    if engine is None or engine.forked:
        raise RuntimeError(
            "bind_kernel is for code on an engine, and this process is none\n"
            "hint: rc[0].apply_sync(ipclusterz.bind_kernel), or call it in %%px"
        )
    if not isinstance(ip, str):
        raise TypeError(f"ip is an address as text, such as '127.0.0.1', not {type(ip).__name__}")
    if _bound is None:
        _bound = _start(engine, ip)
    print(f"engine {engine.id}: jupyter console --existing {_bound['connection_file']}")
    return dict(_bound)


def _start(engine: Any, ip: str) -> dict[str, Any]:
    try:
        from .kernel_thread import start
    except ImportError as error:
        import sys

        raise ImportError(
            f"a kernel needs ipykernel, which {sys.executable} does not have: {error}\n"
            "hint: pip install ipykernel in the engines' environment"
        ) from error
    # Here it may take the time that IPython takes to be imported.
    engine.calls.shell()
    return start(engine, ip)
