"""Signals to the processes of engines: what may be sent, and what becomes of it."""

from __future__ import annotations

import os
import signal

from ..error import EngineError, UnknownEngine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._core import Client as Core

__all__ = ["number_of", "tell"]

# How long the I/O threads of engines may take to answer; they never wait for the interpreter.
_SECONDS = 5.0
# For processes that are stopped, and cannot send it to themselves.
_FOR_STOPPED = (signal.SIGCONT, signal.SIGKILL)


def number_of(wanted: int | str) -> int:
    """The number of a signal, given as such or by its name.

    Raises
    ------
    TypeError
        When it is neither.
    ValueError
        When there is no such signal; says which there are.
    """
    if isinstance(wanted, bool) or not isinstance(wanted, (int, str)):
        raise TypeError(f"a signal is a number or a name, not {type(wanted).__name__}: send_signal('SIGUSR1')")
    number = signal.Signals.__members__.get(wanted) if isinstance(wanted, str) else wanted
    if number is not None and number in signal.valid_signals():
        return int(number)
    names = ", ".join(each.name for each in signal.Signals)
    raise ValueError(f"there is no signal {wanted!r:.40}: a number from 1 on, or one of {names}")


def tell(core: Core, number: int, engines: list[int], wait: bool, status: Callable[[], dict[str, Any]]) -> None:
    """Have the processes of engines get a signal.

    Parameters
    ----------
    core : ipclusterz._core.Client
        The connection.
    number : int
        The signal.
    engines : list of int
        Who gets it.
    wait : bool
        Wait until they have it.
    status : callable
        Asks the controller.

    Raises
    ------
    UnknownEngine
        When one has gone meanwhile.
    EngineError
        When one does not answer, or is of a release that knows no signals.
    """
    if number == signal.SIGINT:
        # Behind the requests that it is meant for.
        core.interrupt(engines)
        return
    if number in _FOR_STOPPED:
        reached = _to_stopped(status()["engines"], engines, number)
        engines = [engine for engine in engines if engine not in reached]
    told = core.signal(engines, number, _SECONDS if wait else 0.0)
    if wait:
        _check(told, engines)


def _check(told: dict[int, bool | None], engines: list[int]) -> None:
    gone = [engine for engine in engines if engine in told and told[engine] is None]
    if gone:
        raise UnknownEngine(f"engines {gone} are gone", hint="rc.ids are the engines that are there")
    old = [engine for engine in engines if told.get(engine) is False]
    if old:
        raise EngineError(f"engines {old} are of a release of ipclusterz that takes no signals")
    silent = [engine for engine in engines if engine not in told]
    if silent:
        raise EngineError(
            f"engines {silent} have not answered within {_SECONDS:g} s: they get the signal when they go on",
            hint="rc.status() shows which are stopped or away; on its host, `kill -CONT PID` has a stopped one go on",
        )


def _to_stopped(status: list[dict[str, Any]], engines: list[int], number: int) -> set[int]:
    """Send a signal to those engines of this host that are stopped. Returns which."""
    here = os.uname().nodename
    stopped = [each for each in status if each["id"] in engines and each["state"] == "stopped" and each["host"] == here]
    return {each["id"] for each in stopped if _kill(each["pid"], number)}


def _kill(pid: int, number: int) -> bool:
    """Send a signal to an engine's process; False: it is none of this host's, or not ours."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if b"ipclusterz" not in file.read():
                return False
        os.kill(pid, number)
    except OSError:
        return False
    return True
