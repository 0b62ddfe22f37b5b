"""The calls that run code in the namespaces of chosen engines, and move names to and from them.

`direct` adds those that call functions; what all of them have in common is said there.
"""

from __future__ import annotations

from ..shared import names as on_engine
from ..shared.cells import get_result
from ..shared.serialize import dumps
from .about import about
from .arguments import argument_frames, names_frames, namespace_frames
from .asyncresult import AsyncResult
from .functions import pack
from .sequences import SequenceCalls
from .shapes import ExecuteResult, ZipResult
from .targets import OWN, waits
from .via import check_via, is_worth_it, spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from typing import Any

    from ..shared.serialize import Frame
    from .mpi import Group
    from .targets import Own, Targets
    from .via import Via

__all__ = ["NamespaceCalls"]


class NamespaceCalls(SequenceCalls):
    """The part of `DirectCalls` that is about code and names."""

    __slots__ = ()

    # -- code and names -----------------------------------------------------------------------------------------

    def execute(
        self, code: str, silent: bool = False, *, targets: Targets | Own = OWN, block: bool | None = None
    ) -> Any:
        """Run code in the namespace of each engine, through IPython where the engine has it.

        Parameters
        ----------
        code : str
            A cell: statements, and perhaps magics.
        silent : bool
            Do not count the cell and do not show its last value.
        targets : optional
            Engines.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        ExecuteReply, dict of ExecuteReply, or AsyncResult
            With the text of the last value and what was written. Several are shown as the Results List.

        Examples
        --------
        >>> rc.execute("b = 10; print(b)", targets=[0, 2], block=True)
        <Results List>
        [0] In [7]: b = 10; print(b)
        [0] Out[7]: 10
        <BLANKLINE>
        [2] In [7]: b = 10; print(b)
        [2] Out[7]: 10
        """
        if not isinstance(code, str):
            raise TypeError(f"code is text, not {type(code).__name__}: {code!r:.80}")
        return self._call("execute", dumps((code, bool(silent))), targets, block, ExecuteResult)

    def run(self, file: str | os.PathLike[str], *, targets: Targets | Own = OWN, block: bool | None = None) -> Any:
        """Run a script of this machine in the namespace of each engine.

        Parameters
        ----------
        file : path-like
            Is read here; the engines need not have it.
        targets : optional
            Engines.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        ExecuteReply, dict of ExecuteReply, or AsyncResult
            As for `execute`.

        Raises
        ------
        OSError
            When the file cannot be read.
        SyntaxError
            When it is not in the encoding that it names, UTF-8 if it names none.
        """
        import tokenize
        from pathlib import Path

        # As Python itself reads a script: its first lines may name another encoding than UTF-8.
        with tokenize.open(Path(file).expanduser()) as script:
            code = script.read()
        return self.execute(code, targets=targets, block=block)

    def get_result(self, count: int | None = None, *, targets: Targets | Own = OWN, block: bool | None = None) -> Any:
        """What a cell gave that was executed earlier, from the engines' histories.

        Parameters
        ----------
        count : int, optional
            The cell's number on each engine; its last cell when left out.
        targets : optional
            Engines.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        ExecuteReply, dict of ExecuteReply, or AsyncResult
            As for `execute`. A cell that failed has its `error`.
        """
        if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
            raise TypeError(f"cells have numbers, not {type(count).__name__}: {count!r:.80}")
        return self._on_engine(get_result, (count,), targets, block, ExecuteResult)

    def push(
        self, ns: dict[str, Any], *, via: Via = "auto", targets: Targets | Own = OWN, block: bool | None = None
    ) -> Any:
        """Set names in the namespace of each engine; the values are sent once for all engines.

        Parameters
        ----------
        ns : dict
            Names and values. A `Reference` stands for the engine's own object.
        via : {"auto", "mpi", "direct"}
            How they get there: from the controller to each engine, or to the first engine, which passes them on to the
            others by MPI. By itself that is done with data of 2 MiB or more for ranks of one world, which are on five
            hosts or more besides the controller's. Then all engines have to be there, as for any collective.
        targets : optional
            Engines.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        None, dict of None, or AsyncResult

        Raises
        ------
        ValueError
            When there is no such `via`.
        RejectedError
            When waiting, with ``via="mpi"``: the engines are not the ranks of one world.
        """
        check_via(via)
        frames = namespace_frames(ns)
        self._owner_client._texts -= ns.keys()
        chosen, single = self._choose(targets)
        if via == "mpi" or (via == "auto" and is_worth_it(self, chosen, frames)):
            return self._done(spread(self, chosen, single, frames), block)
        told = about("call", method="push", single=single)
        pending = self._core.submit("push", [(chosen, frames)], about=told)
        return self._done(AsyncResult(self._owner_client, pending, "push", single), block)

    def send(
        self, name: str, to: Targets, *, targets: Targets | Own = OWN, block: bool | None = None
    ) -> Future[None] | None:
        """Set a name on other engines to the value that it has on one.

        What is large goes straight from engine to engine, where they reach each other: encrypted, once for each host,
        and through no client and no controller. Where they do not, because of a firewall or as they are behind tunnels,
        the client passes it on, and so it does with what is small.

        Parameters
        ----------
        name : str
            Of the value, on the one engine and on the others.
        to : int, slice, iterable of int, or "all"
            Engines that are to have it.
        targets : optional
            The engine that has it.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        None or concurrent.futures.Future
            The future's result is None. What is submitted before it is done may run before the value is there.

        Raises
        ------
        ValueError
            When more than one engine is to send it.
        RemoteKeyError
            When waiting, and there is no such name. It is also a `KeyError`.
        CompositeError
            When waiting: what engines raised that could not take it.

        Examples
        --------
        >>> rc[0]["x"] = [1, 2, 3]
        >>> rc[0].send("x", to=[1, 2], block=True)
        >>> rc[2]["x"]
        [1, 2, 3]
        """
        # Start-up: most clients never need it.
        from .sending import Sending, later

        if not isinstance(name, str):
            raise TypeError(f"names are strings, not {type(name).__name__}: {name!r:.80}")
        engines, _ = self._owner_client._choose(to)
        chosen, _ = self._choose(targets)
        if len(chosen) != 1:
            raise ValueError(f"one engine sends a value, and these are {len(chosen)}: {chosen}; as in rc[0].send(...)")
        sending = Sending(self, name, chosen[0])
        if not waits(self, block):
            return later(lambda: sending.send(engines))
        sending.send(engines)
        return None

    def pull(self, names: str | Iterable[str], *, targets: Targets | Own = OWN, block: bool | None = None) -> Any:
        """Get values of names from each engine.

        Parameters
        ----------
        names : str or iterable of str
            One name gives its value, several give the list of theirs.
        targets : optional
            Engines.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        object, dict or AsyncResult

        Raises
        ------
        RemoteKeyError, CompositeError
            When waiting and a name is not there; names it and the engine. The first is also a `KeyError`.
        """
        return self._call("pull", names_frames(names), targets, block)

    def zip_pull(self, names: str | Iterable[str], *, targets: Targets | Own = OWN, block: bool | None = None) -> Any:
        """Get values of names from each engine, ordered by name.

        Parameters
        ----------
        names : str or iterable of str
            Names on each engine.
        targets : optional
            Engines.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        tuple, list of tuple, or AsyncResult
            For one name the tuple of its values, one for each engine; for several names the list of such tuples.

        Examples
        --------
        >>> rc[:].update({"a": 1.03234, "b": 3453})
        >>> rc.zip_pull(("a", "b"), block=True)
        [(1.03234, 1.03234, 1.03234, 1.03234), (3453, 3453, 3453, 3453)]
        """
        frames = names_frames(names)
        chosen, single = self._choose(targets)
        one_name = isinstance(names, str)
        told = about("zip", single=single, one_name=one_name)
        pending = self._core.submit("pull", [(chosen, frames)], about=told)
        result = ZipResult(self._owner_client, pending, single, one_name)
        return result.get() if waits(self, block) else result

    def keys(self, *, targets: Targets | Own = OWN) -> Any:
        """The user's names on each engine; always waits.

        Parameters
        ----------
        targets : optional
            Engines.

        Returns
        -------
        list of str, or dict of such lists
        """
        return self._on_engine(on_engine.keys, (), targets, True)

    def clear(self, *, targets: Targets | Own = OWN, block: bool | None = None) -> Any:
        """Forget all names in the namespace of each engine.

        Parameters
        ----------
        targets : optional
            Engines.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        None, dict of None, or AsyncResult
        """
        self._owner_client._texts.clear()
        return self._call("clear", [], targets, block)

    # -- MPI ----------------------------------------------------------------------------------------------------

    @property
    def mpi(self) -> Group:
        """The engines as the ranks of a communicator, where mpiexec or srun started them.

        Examples
        --------
        >>> rc[:].mpi
        <Group of engines 0, 1, 2, 3>
        """
        # Only groups need what MPI needs.
        from .mpi import Group

        return Group(self)

    # -- inside -------------------------------------------------------------------------------------------------

    def _call(
        self,
        op: Any,
        frames: list[Frame],
        targets: Targets | Own,
        block: bool | None,
        kind: type[AsyncResult] = AsyncResult,
    ) -> Any:
        """One operation, with the same payload for all engines."""
        chosen, single = self._choose(targets)
        told = about(_as(kind), method=op, single=single)
        pending = self._core.submit(op, [(chosen, frames)], about=told, name=self._label)
        return self._done(kind(self._owner_client, pending, op, single), block)

    def _on_engine(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        targets: Targets | Own,
        block: bool | None,
        kind: type[AsyncResult] = AsyncResult,
    ) -> Any:
        """Call a function of `ipclusterz.shared` on engines; errors name the method that the user called."""
        chosen, single = self._choose(targets)
        told = about(_as(kind), method=f.__name__, single=single)
        items = [(chosen, argument_frames(args, {}))]
        pending = self._core.submit("apply", items, function=pack(f), name=f.__name__, about=told)
        return self._done(kind(self._owner_client, pending, f.__name__, single), block)


def _as(kind: type[AsyncResult]) -> str:
    return "cell" if kind is ExecuteResult else "call"
