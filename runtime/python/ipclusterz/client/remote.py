"""Functions that run on engines when they are called, and functions of parts of sequences."""

from __future__ import annotations

from functools import update_wrapper

from ..functions import pack
from .arguments import argument_frames
from .mapping import at_least_one, chunk_bounds
from .scatter import check_dist, partition, sliceable
from .shapes import GatherResult
from .targets import OWN, waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, TypeAlias

    from .balanced import LoadBalancedView
    from .client import Client
    from .targets import Own, Targets
    from .view import DirectView

    Caller: TypeAlias = Client | DirectView | LoadBalancedView

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
    def view(self) -> DirectView | LoadBalancedView:
        """The view that it runs on: as its caller's targets are now."""
        return _view(self._caller, self._targets)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run it: the value, or the dictionary of values by engine, or an `AsyncResult`."""
        view = self.view
        result = view.apply_async(self.__wrapped__, *args, **kwargs)  # type: ignore[attr-defined]
        if not waits(self._caller, self.block):
            return result
        return result._answer()

    def map(self, *sequences: Iterable[Any]) -> Any:
        """Call it on each element; see `Client.map`."""
        f = self.__wrapped__  # type: ignore[attr-defined]
        return self.view.map(f, *sequences, block=waits(self._caller, self.block))

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
            The results of the parts, joined.

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
        # The same import at the top would be a circle.
        from .view import DirectView

        targets: list[list[int] | None]
        if isinstance(view, DirectView):
            targets = [[engine_id] for engine_id in view.targets[:length]]
            options: dict[str, Any] = {}
        elif self.dist == "r":
            raise ValueError("dist='r' needs engines: a load-balanced function gets contiguous chunks")
        else:
            targets = [None] * len(chunk_bounds(length, self.chunksize, len(view)))
            options = {"retries": view.retries, "engines": view.targets, "duration": view.duration}
        items: list[Any] = []
        if targets:
            parts = zip(*(partition(column, len(targets), self.dist) for column in columns), strict=True)
            items += [(target, argument_frames(part, {})) for target, part in zip(targets, parts, strict=True)]
        function = pack(self.__wrapped__)  # type: ignore[attr-defined]
        pending = view._core.submit("apply", items, function=function, **options)
        result = GatherResult(view.client, pending, False, self.dist, "parallel")
        return result.get() if waits(self._caller, self.block) else result

    def map(self, *sequences: Iterable[Any]) -> Any:
        """Call the function on each element, and give the list of results; see `Client.map`."""
        from .view import DirectView

        view, block = self.view, waits(self._caller, self.block)
        f = self.__wrapped__  # type: ignore[attr-defined]
        if isinstance(view, DirectView):
            return view.map(f, *sequences, block=block)
        return view.map(f, *sequences, chunksize=self.chunksize, block=block)


def _itself(f: Callable[..., Any]) -> Callable[..., Any]:
    return f


def _view(caller: Caller, targets: Targets | Own) -> DirectView | LoadBalancedView:
    from .client import Client

    if targets is OWN:
        return caller[caller.targets] if isinstance(caller, Client) else caller
    client: Any = caller if isinstance(caller, Client) else caller.client
    view: DirectView | LoadBalancedView = client[targets]
    return view


def _columns(sequences: tuple[Iterable[Any], ...]) -> list[Any]:
    if not sequences:
        raise TypeError("a parallel function needs at least one sequence")
    columns: list[Any] = [sequence if hasattr(sequence, "__len__") else sliceable(sequence) for sequence in sequences]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ValueError(f"the sequences of a parallel function must have equal lengths, not {lengths}")
    return columns
