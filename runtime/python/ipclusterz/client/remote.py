"""Functions that run on engines when they are called, and functions of parts of sequences."""

from __future__ import annotations

from functools import update_wrapper

from ..compat import zip_equal
from ..shared.scatter import check_dist, is_text, partition, sliceable
from .about import about, name_of
from .arguments import argument_frames
from .lazy import at_least_one
from .shapes import GatherResult
from .targets import OWN, waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, Protocol

    from .._core import Client as Core
    from .connection import Connection
    from .targets import Own, Targets

    # For each part of a sequence its engines, None for any; and further options of `submit`.
    Parts = tuple[list[list[int] | None], dict[str, Any]]

    class Runs(Protocol):
        """A `DirectView` or `LoadBalancedView`."""

        client: Connection
        quiet: Any
        _core: Core
        _label: Any

        def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...
        def map(self, f: Callable[..., Any], /, *sequences: Iterable[Any], block: bool | None = None) -> Any: ...
        def _map(self, f: Callable[..., Any], sequences: Any, chunksize: int | None, **options: bool) -> Any:
            """`map`, with chunks of a size where that means something."""

        def _packed(self, f: Callable[..., Any], *, bound: bool = False, mapped: bool = False) -> tuple[bytes, bytes]:
            """A function as it is sent."""

        def _parts(self, length: int, dist: str, chunksize: int | None) -> Parts:
            """Where the parts of a sequence go, and in how many it is split."""

    class Caller(Protocol):
        """A `Client`, `DirectView` or `LoadBalancedView`."""

        @property
        def block(self) -> Any: ...
        @property
        def quiet(self) -> Any: ...
        def _view_of(self, targets: Targets | Own) -> Runs:
            """The view of these engines; `OWN` are those that the caller has now."""


__all__ = ["ParallelFunction", "RemoteFunction"]


class RemoteFunction:
    """A function that runs on engines when it is called.

    Made by the decorator ``@rc.remote()`` or ``@view.remote()``.

    Parameters
    ----------
    caller : Client, DirectView or LoadBalancedView
        Where to run it.
    f : callable
        What to run.
    targets : optional
        Engines, instead of the caller's; None is the one with least to do.
    block : bool, optional
        Whether calls wait, instead of the caller's `block`.

    Raises
    ------
    TypeError
        When `f` cannot be called.

    Examples
    --------
    >>> import os
    >>> @rc[0].remote(block=True)
    ... def process_id():
    ...     return os.getpid()
    >>> process_id() == os.getpid()
    False
    """

    def __init__(
        self, caller: Caller, f: Callable[..., Any], *, targets: Targets | Own = OWN, block: bool | None = None
    ) -> None:
        if not callable(f):
            raise TypeError(f"a function is needed, not {type(f).__name__}: {f!r:.80}")
        # First, because it brings the attributes of `f` along, which may be such a function itself.
        update_wrapper(self, f)
        self._caller = caller
        self._targets = targets
        self.block = block

    @property
    def view(self) -> Runs:
        """The view that it runs on: as its caller's targets are now."""
        return self._caller._view_of(self._targets)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run it: the value, or the dictionary of values by engine, or an `AsyncResult`."""
        view = self.view
        result = view.apply_async(self.__wrapped__, *args, **kwargs)  # type: ignore[attr-defined]
        if not waits(self._caller, self.block):
            return result
        return result._answer()

    def map(self, *sequences: Iterable[Any], return_exceptions: bool = False) -> Any:
        """Call it on each element; see `Client.map`."""
        return self._map(sequences, None, return_exceptions)

    def _map(self, sequences: Any, chunksize: int | None, return_exceptions: bool) -> Any:
        f, block = self.__wrapped__, waits(self._caller, self.block)  # type: ignore[attr-defined]
        return self.view._map(f, sequences, chunksize, block=block, return_exceptions=return_exceptions)

    def __repr__(self) -> str:
        f = self.__wrapped__  # type: ignore[attr-defined]
        return f"<{type(self).__name__} {getattr(f, '__name__', f)} of {self._caller!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # On an engine it is the function itself: a recursive one finds it there under its name.
        return _itself, (self.__wrapped__,)  # type: ignore[attr-defined]


class ParallelFunction(RemoteFunction):
    """A function that is called on parts of sequences, side by side on engines; the results are joined.

    Made by the decorator ``@rc.parallel()`` or ``@view.parallel()``. Calling it gives each engine its part of each
    sequence; `map` calls the function on each element instead.

    Parameters
    ----------
    caller : Client, DirectView or LoadBalancedView
        Where to run it.
    f : callable
        Takes parts of sequences (lists, arrays of shape (n_i, …), …) and returns a sequence.
    targets : optional
        Engines, instead of the caller's; None gives chunks to whichever engine has least to do.
    block : bool, optional
        Whether calls wait, instead of the caller's `block`.
    dist : {"b", "r"}
        Parts are contiguous blocks, or every n-th element.
    chunksize : int, optional
        Elements in a chunk, when load-balanced; left out, about four chunks for each engine.

    Examples
    --------
    >>> double = ParallelFunction(rc, lambda part: part * 2, block=True)
    >>> double(np.arange(5))
    array([0, 2, 4, 6, 8])
    >>> ParallelFunction(rc, abs, targets=None, block=True).map([-1, -2])
    [1, 2]
    """

    def __init__(
        self,
        caller: Caller,
        f: Callable[..., Any],
        *,
        targets: Targets | Own = OWN,
        block: bool | None = None,
        dist: Literal["b", "r"] = "b",
        chunksize: int | None = None,
    ) -> None:
        super().__init__(caller, f, targets=targets, block=block)
        # Refused here, where the mistake is.
        check_dist(dist)
        self.dist = dist
        self.chunksize = None if chunksize is None else at_least_one("chunksize", chunksize)

    def __call__(self, *sequences: Iterable[Any]) -> Any:
        """Call the function on parts of the sequences.

        Parameters
        ----------
        *sequences : iterable
            Of equal lengths.

        Returns
        -------
        sequence or AsyncResult
            The results of the parts, joined. Texts and bytes are joined if such were split, and else a list of them.

        Raises
        ------
        TypeError
            When there is no sequence, or something else.
        ValueError
            When they have different lengths; says which.
        """
        columns = _columns(sequences)
        length = len(columns[0])
        view = self.view
        targets, options = view._parts(length, self.dist, self.chunksize)
        items: list[Any] = []
        if targets:
            parts = zip_equal(*(partition(column, len(targets), self.dist) for column in columns))
            items += [(target, argument_frames(part, {})) for target, part in zip_equal(targets, parts)]
        called = self.__wrapped__  # type: ignore[attr-defined]
        texts = any(map(is_text, columns))
        how = {"method": "parallel", "single": False, "dist": self.dist, "quiet": view.quiet, "texts": texts}
        told = about("gather", **how, requests=len(items))
        function = view._packed(called)
        pending = view._core.submit(
            "apply", items, function=function, name=view._label or name_of(called), about=told, **options
        )
        result = GatherResult(view.client, pending, False, self.dist, "parallel", texts)
        result.quiet = view.quiet
        return result.get() if waits(self._caller, self.block) else result

    def map(self, *sequences: Iterable[Any], return_exceptions: bool = False) -> Any:
        """Call the function on each element, and give the list of results; see `Client.map`."""
        return self._map(sequences, self.chunksize, return_exceptions)


def _itself(f: Callable[..., Any]) -> Callable[..., Any]:
    return f


def _columns(sequences: tuple[Iterable[Any], ...]) -> list[Any]:
    if not sequences:
        raise TypeError("a parallel function needs at least one sequence")
    columns: list[Any] = [sequence if hasattr(sequence, "__len__") else sliceable(sequence) for sequence in sequences]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ValueError(f"the sequences of a parallel function must have equal lengths, not {lengths}")
    return columns
