"""From what a user writes for engines to a list of engine ids. Pure: the ids that live are given."""

from __future__ import annotations

from ..error import EmptyTargets, NoEnginesRegistered, UnknownEngine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    class Caller(Protocol):
        @property
        def block(self) -> Any: ...
        @property
        def quiet(self) -> Any: ...

    Targets = int | slice | str | Iterable[int] | None

__all__ = ["OWN", "Own", "is_quiet", "resolve", "waits"]


class Own:
    """The type of `OWN`."""

    def __repr__(self) -> str:
        return "OWN"


OWN = Own()
"""The default of every ``targets=``: those of the client or view that is called. None means the load-balanced view."""


def waits(caller: Caller, block: bool | None) -> bool:
    """Whether a call is to wait: the ``block`` that it was given, else that of whom it is called on."""
    return caller.block if block is None else block


def is_quiet(caller: Caller, quiet: bool | None) -> bool:
    """Whether nothing is to be shown of what a call writes: as for `waits`."""
    return caller.quiet if quiet is None else quiet


def resolve(
    targets: Targets, live: list[int], became: Callable[[int], str | None] = lambda _: None
) -> tuple[list[int], bool]:
    """Engine ids for an index, and whether it means one engine (so that results are bare values).

    Parameters
    ----------
    targets : int, slice, iterable of int, or "all"
        Negative numbers count from the last live engine; a slice cuts the sorted list of live ids.
    live : list of int
        The ids there are, sorted.
    became : callable
        Says what became of the engine with an id that none has now, if there was one.

    Returns
    -------
    (list of int, bool)

    Raises
    ------
    UnknownEngine
        An `IndexError`: there is no such engine. Names it and those there are.
    EmptyTargets
        A `ValueError`: no engine is meant.
    TypeError
        The index is none of the above.

    Examples
    --------
    >>> resolve(-1, [0, 1, 3])
    ([3], True)
    >>> resolve(slice(1, None), [0, 1, 3])
    ([1, 3], False)
    """
    if isinstance(targets, int) or (hasattr(targets, "__index__") and not hasattr(targets, "__len__")):
        return [_one(targets, live, became)], True
    if targets is None:
        raise TypeError(
            "this needs engines, and targets=None is the load-balanced view\n"
            "hint: targets='all' is all engines; apply, map, imap, remote and parallel can be load-balanced"
        )
    if isinstance(targets, str) and targets == "all":
        targets = slice(None)
    if isinstance(targets, slice):
        if not live:
            raise NoEnginesRegistered(
                "the cluster has no engines", hint="start some, or wait for them with wait_for_engines(n)"
            )
        chosen = live[targets]
        if not chosen:
            raise EmptyTargets(f"the slice {_text(targets)} selects none of the engines {_list(live)}", hint=_HINT)
        return chosen, False
    if isinstance(targets, (str, bytes)):
        raise _not_an_index(targets)
    try:
        items = list(targets)
    except TypeError:
        raise _not_an_index(targets) from None
    if not items:
        raise EmptyTargets("the list of engines is empty", hint=_HINT)
    chosen = [_one(item, live, became) for item in items]
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"an engine is named twice in {items}")
    return chosen, False


_HINT = "rc[:] is all engines, rc.ids are those there are"


def _one(item: object, live: list[int], became: Callable[[int], str | None]) -> int:
    # numpy's integers are welcome, floats are not.
    index = getattr(type(item), "__index__", None)
    if index is None or isinstance(item, bool):
        raise _not_an_index(item)
    engine_id: int = index(item)
    if engine_id in live:
        return engine_id
    reason = became(engine_id) if engine_id >= 0 else None
    if not live:
        raise NoEnginesRegistered(
            f"there is no engine {engine_id}: the cluster has no engines" + (f"; {reason}" if reason else ""),
            hint="start some, or wait for them with wait_for_engines(n)",
        )
    if -len(live) <= engine_id < 0:
        return live[engine_id]
    text = f"there is no engine {engine_id}" + (f": {reason}" if reason else "")
    raise UnknownEngine(text, hint=f"the engines are {_list(live)}")


def _not_an_index(value: object) -> TypeError:
    return TypeError(f"engines are an id, a slice, a list of ids or 'all', not {type(value).__name__}: {value!r:.80}")


def _list(ids: list[int]) -> str:
    if len(ids) > 12 and ids == list(range(ids[0], ids[-1] + 1)):
        return f"{ids[0]} to {ids[-1]}"
    return ", ".join(map(str, ids)) or "none"


def _text(part: slice) -> str:
    start, stop = ("" if edge is None else edge for edge in (part.start, part.stop))
    return f"[{start}:{stop}]" if part.step is None else f"[{start}:{stop}:{part.step}]"
