"""How what is sent is pickled where plain pickle cannot do it: a choice for this process and for engines."""

from __future__ import annotations

from ..shared import pickling
from .namespaces import NamespaceCalls
from .targets import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .targets import Own, Targets

__all__ = ["PicklingCalls"]


class PicklingCalls(NamespaceCalls):
    """The part of `DirectCalls` that is about pickling."""

    __slots__ = ()

    def use_cloudpickle(self, *, targets: Targets | Own = OWN) -> None:
        """Go back to what is used at first: cloudpickle does what pickle alone cannot; always waits.

        So functions and classes travel that are defined in ``__main__`` or inside of functions, and modules of yours
        that are not installed. What comes back is of the class that it has here.

        Parameters
        ----------
        targets : optional
            The engines that do the same with what they send.

        Examples
        --------
        >>> rc[:].use_cloudpickle()
        >>> rc[0].apply_sync(lambda f: f(2), lambda x: x**2)
        4
        """
        _use(self, "cloudpickle", targets)

    def use_dill(self, *, targets: Targets | Own = OWN) -> None:
        """Have dill do what pickle alone cannot, here and on the engines; always waits.

        It can do other kinds of objects than cloudpickle, as open files. But modules of yours do not travel: engines
        have to have them. Objects that come back are of another class than here, where that is defined in ``__main__``
        or inside of a function; enumerations that are defined there cannot be sent. It takes longer, and engines need
        the same version of Python.

        The choice is for all clients of this process, and on an engine for all that it sends, until another one is
        made. Engines that come later know nothing of it.

        Parameters
        ----------
        targets : optional
            The engines that do the same with what they send.

        Raises
        ------
        ImportError
            When dill is not installed, here or on one of the engines; then nothing has changed.

        Examples
        --------
        >>> rc[:].use_dill()
        >>> text = open("/proc/self/comm")
        >>> rc[0].apply_sync(lambda file: file.name, text)
        '/proc/self/comm'
        >>> text.close()
        >>> rc[:].use_cloudpickle()
        """
        _use(self, "dill", targets)

    def use_pickle(self, *, targets: Targets | Own = OWN) -> None:
        """Have pickle alone do arguments, values and results, here and on the engines; always waits.

        It sends functions and classes by name, and they are looked up on the other side: those of ``__main__`` in the
        engine's namespace, others in modules that the engine has. What has no name cannot be sent: lambdas, and what is
        defined inside of functions. The function that a call runs travels as code all the same.

        The choice is for whom, and lasts as long as, that of `use_dill`.

        Parameters
        ----------
        targets : optional
            The engines that do the same with what they send.

        Examples
        --------
        >>> rc[:].use_pickle()
        >>> rc[0].apply_sync(lambda x: x + 1, 2)
        3
        >>> rc[:].use_cloudpickle()
        """
        _use(self, "pickle", targets)


def _use(calls: PicklingCalls, name: str, targets: Targets | Own) -> None:
    engines = calls._choose(targets)[0]
    if name == "dill":
        _check_dill(calls, engines)
    calls._on_engine(pickling.use, (name,), engines, True)
    pickling.use(name)


def _check_dill(calls: PicklingCalls, engines: list[int]) -> None:
    if not pickling.has_dill():
        raise ImportError("use_dill() needs the package dill: pip install dill, here and on the engines")
    there = calls._on_engine(pickling.has_dill, (), engines, False).get_dict()
    if missing := [engine for engine in engines if not there[engine]]:
        raise ImportError(
            f"use_dill() needs the package dill on the engines, and it is not on {', '.join(map(str, missing))}: "
            "pip install dill where they run"
        )
