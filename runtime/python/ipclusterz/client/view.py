"""Views: a choice of engines and the calls that can be made on them.

`View` is what all views share, `DirectView` the view of engines that were chosen by id. The load-balanced one is in
`balanced`. A view packs functions and arguments and gives them to the extension module; it waits for nothing itself.
"""

from __future__ import annotations

from ..functions import pack
from ..serialize import dumps
from .arguments import argument_frames, names_frames, namespace_frames
from .asyncresult import AsyncResult
from .mapping import MapResult, NoPending, chunk_frames, columns_of
from .scatter import bounds, join, partition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .client import Client

__all__ = ["DirectView", "GatherResult", "View"]


class View:
    """What every view has: its client and its way of waiting.

    Attributes
    ----------
    client : Client
        The client that made it.
    """

    __slots__ = ("__weakref__", "_block", "_core", "client")

    def __init__(self, client: Client) -> None:
        self.client = client
        self._core = client._core
        self._block: bool | None = None

    @property
    def block(self) -> bool:
        """Whether calls wait for their results; the client's ``block`` until it is set here."""
        own = self._block
        return self.client.block if own is None else own

    @block.setter
    def block(self, value: bool | None) -> None:
        self._block = value


class GatherResult(AsyncResult):
    """The parts of a sequence, joined once they are all there."""

    __slots__ = ()

    def _joined(self) -> Any:
        return join(self._values)


class DirectView(View):
    """Calls on chosen engines: each of them runs what is sent.

    Made by indexing a client: ``rc[0]``, ``rc[:]``, ``rc[1:3]``, ``rc[0, 2]``. The engines are those that the index
    meant at that moment.

    Calls that wait (``block=True``) return the bare value for a view of one engine made with ``rc[id]``, and a
    dictionary by engine id otherwise; `map` and `gather` return the joined sequence. Calls that do not wait return an
    `AsyncResult`.

    Attributes
    ----------
    targets : list of int
        The engines.

    Examples
    --------
    >>> dview = rc[:]                                       # doctest: +SKIP
    >>> dview.block = True                                  # doctest: +SKIP
    >>> dview["a"] = 5                                      # doctest: +SKIP
    >>> dview.apply_bound(lambda x: a + x, 27)              # doctest: +SKIP
    {0: 32, 1: 32, 2: 32, 3: 32}
    """

    __slots__ = ("_single", "_targets")

    def __init__(self, client: Client, targets: list[int], single: bool) -> None:
        super().__init__(client)
        self._targets = targets
        self._single = single

    @property
    def targets(self) -> list[int]:
        return list(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def __repr__(self) -> str:
        return f"<DirectView of engine{'s' if not self._single else ''} {', '.join(map(str, self._targets))}>"

    # -- functions ----------------------------------------------------------------------------------------------

    def apply(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``f(*args, **kwargs)`` on each engine, away from the engine's namespace.

        Parameters
        ----------
        f : callable
            Runs with the globals and closure that it has here.
        *args, **kwargs
            Its arguments. Arrays travel as buffers, without a copy by pickle.

        Returns
        -------
        object
            The value or a dictionary of values when `block` is set, else an `AsyncResult`.

        Raises
        ------
        TypeError
            When `f` cannot be called.
        SerializationError
            When `f` or an argument cannot travel; names it.
        RemoteError, EngineError, CompositeError
            When blocking: what the engines raised.
        """
        return self._done(self.apply_async(f, *args, **kwargs), None)

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Like `apply`, and never waits."""
        function = pack(f)
        frames = argument_frames(args, kwargs)
        pending = self._core.submit("apply", [(self._targets, frames)], function=function)
        return AsyncResult(pending, "apply", self._single)

    def apply_sync(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like `apply`, and always waits."""
        return self._done(self.apply_async(f, *args, **kwargs), True)

    def apply_bound(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Like `apply`, but the globals of `f` are the engine's namespace, for reading and for writing.

        Globals of the client neither travel nor hide the engine's. Functions of installed modules keep their module's.
        """
        function = pack(f, bound=True)
        frames = argument_frames(args, kwargs)
        pending = self._core.submit("apply_bound", [(self._targets, frames)], function=function)
        return self._done(AsyncResult(pending, "apply", self._single), None)

    def map(self, f: Callable[..., Any], /, *sequences: Iterable[Any], block: bool | None = None) -> Any:
        """Call `f` on each element, one contiguous block of elements for each engine.

        Parameters
        ----------
        f : callable
            Takes as many arguments as there are sequences.
        *sequences : iterable
            The shortest decides how many calls there are, as with the builtin.
        block : bool, optional
            Instead of the view's `block`.

        Returns
        -------
        list or MapResult
            The results in the order of the elements.

        Examples
        --------
        >>> rc[:].map_sync(pow, range(5), [2] * 5)          # doctest: +SKIP
        [0, 1, 4, 9, 16]
        """
        function = pack(f, mapped=True)
        columns, length = columns_of(sequences)
        shares = [
            (engine_id, start, stop)
            for engine_id, (start, stop) in zip(self._targets, bounds(length, len(self._targets)), strict=True)
            if stop > start
        ]
        if not shares:
            return self._done(MapResult(NoPending(), [], True), block)
        pending = self._core.submit(
            "apply",
            [([engine_id], chunk_frames(columns, start, stop)) for engine_id, start, stop in shares],
            function=function,
        )
        return self._done(MapResult(pending, [stop - start for _, start, stop in shares], True), block)

    def map_async(self, f: Callable[..., Any], /, *sequences: Iterable[Any]) -> MapResult:
        """Like `map`, and never waits."""
        result: MapResult = self.map(f, *sequences, block=False)
        return result

    def map_sync(self, f: Callable[..., Any], /, *sequences: Iterable[Any]) -> list[Any]:
        """Like `map`, and always waits."""
        values: list[Any] = self.map(f, *sequences, block=True)
        return values

    # -- code and names -----------------------------------------------------------------------------------------

    def execute(self, code: str, silent: bool = False, block: bool | None = None) -> Any:
        """Run code in the namespace of each engine, through IPython where the engine has it.

        Parameters
        ----------
        code : str
            A cell: statements, and perhaps magics.
        silent : bool
            Do not count the cell and do not show its last value.
        block : bool, optional
            Instead of the view's `block`.

        Returns
        -------
        ExecuteReply, dict of ExecuteReply, or AsyncResult
            With the text of the last value and what was written.

        Raises
        ------
        RemoteError, EngineError, CompositeError
            When blocking: what the engines raised.
        """
        if not isinstance(code, str):
            raise TypeError(f"code is text, not {type(code).__name__}: {code!r:.80}")
        pending = self._core.submit("execute", [(self._targets, dumps((code, bool(silent))))])
        return self._done(AsyncResult(pending, "execute", self._single), block)

    def push(self, ns: dict[str, Any], block: bool | None = None) -> Any:
        """Set names in the namespace of each engine; the values are sent once for all engines.

        Parameters
        ----------
        ns : dict
            Names and values.
        block : bool, optional
            Instead of the view's `block`.

        Returns
        -------
        None, dict of None, or AsyncResult
        """
        pending = self._core.submit("push", [(self._targets, namespace_frames(ns))])
        return self._done(AsyncResult(pending, "push", self._single), block)

    def pull(self, names: str | Iterable[str], block: bool | None = None) -> Any:
        """Get values of names from each engine.

        Parameters
        ----------
        names : str or iterable of str
            One name gives its value, several give the list of theirs.
        block : bool, optional
            Instead of the view's `block`.

        Returns
        -------
        object, dict or AsyncResult

        Raises
        ------
        RemoteError, CompositeError
            When blocking and a name is not there: a KeyError of the engine that names both.
        """
        pending = self._core.submit("pull", [(self._targets, names_frames(names))])
        return self._done(AsyncResult(pending, "pull", self._single), block)

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a name on each engine, and wait for it."""
        self.push({name: value}, block=True)

    def __getitem__(self, name: str | tuple[str, ...]) -> Any:
        """The value of a name on each engine; always waits."""
        return self.pull(name, block=True)

    def get(self, name: str | Iterable[str]) -> Any:
        """The value of a name on each engine: the same as ``view[name]``."""
        return self.pull(name, block=True)

    def update(self, ns: dict[str, Any]) -> None:
        """Set names on each engine, and wait for it."""
        self.push(ns, block=True)

    def clear(self, block: bool | None = None) -> Any:
        """Forget all names in the namespace of each engine."""
        pending = self._core.submit("clear", [(self._targets, [])])
        return self._done(AsyncResult(pending, "clear", self._single), block)

    # -- sequences ----------------------------------------------------------------------------------------------

    def scatter(self, name: str, seq: Iterable[Any], block: bool | None = None) -> Any:
        """Split a sequence into one contiguous part for each engine and push the parts.

        Parameters
        ----------
        name : str
            The part's name on each engine.
        seq : iterable
            Lists, tuples, strings and bytes are split into their own kind, arrays of shape (n, …) along the first
            axis, and everything else into lists.
        block : bool, optional
            Instead of the view's `block`.

        Returns
        -------
        None, dict of None, or AsyncResult
        """
        parts = partition(seq, len(self._targets))
        items = [
            ([engine_id], namespace_frames({name: part})) for engine_id, part in zip(self._targets, parts, strict=True)
        ]
        return self._done(AsyncResult(self._core.submit("push", items), "scatter", self._single), block)  # type: ignore[arg-type]

    def gather(self, name: str, block: bool | None = None) -> Any:
        """Pull a name from each engine and join the parts in the order of the engines.

        Parameters
        ----------
        name : str
            The part's name.
        block : bool, optional
            Instead of the view's `block`.

        Returns
        -------
        sequence or AsyncResult
            Arrays are concatenated along the first axis.
        """
        pending = self._core.submit("pull", [(self._targets, names_frames(name))])
        result = GatherResult(pending, "gather", self._single)
        return result.get() if self._waits(block) else result

    # -- control ------------------------------------------------------------------------------------------------

    def abort(self) -> None:
        """Give up all calls of this client that wait on these engines; what runs goes on."""
        self._core.abort_all(self._targets)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the code that these engines run now; their namespaces survive."""
        self._core.interrupt(self._targets)

    def shutdown(self) -> None:
        """End these engines."""
        self._core.shutdown(self._targets)

    # -- inside -------------------------------------------------------------------------------------------------

    def _waits(self, block: bool | None) -> bool:
        return self.block if block is None else block

    def _done(self, result: AsyncResult, block: bool | None) -> Any:
        if not self._waits(block):
            return result
        return result.get() if self._single or isinstance(result, MapResult) else result.get_dict()
