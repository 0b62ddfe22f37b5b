"""The collectives of a group of engines, on names in their namespaces; the engines' side is `ipclusterz.mpi.names`."""

from __future__ import annotations

from operator import index

from ..mpi import names
from ..mpi.operators import checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Op = str | Callable[[Any, Any], Any]

__all__ = ["Collectives", "seconds"]


class Collectives:
    """The part of `Group` that is about names. All parameters but the name go by keyword."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _limit(self) -> float | None: ...
        def _engines(self) -> list[int]: ...
        def _submit(
            self,
            method: str,
            f: Callable[..., Any],
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            block: bool | None,
            timeout: float | None,
            agreed: bool = False,
        ) -> Any: ...

    def barrier(self, *, block: bool | None = None, timeout: float | None = None) -> Any:
        """Wait on the engines until all ranks are there.

        Parameters
        ----------
        block : bool, optional
            Whether to wait here too.
        timeout : float, optional
            Deadline on the engines in seconds.

        Returns
        -------
        dict of None, or AsyncResult
        """
        return self._named(names.barrier, (), block, timeout)

    def bcast(
        self,
        name: str,
        *,
        root: int = 0,
        out: str | None = None,
        block: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Copy the root's value to all ranks.

        Parameters
        ----------
        name : str
            The value's name on the root; others need not have it.
        root : int
            Rank in the group.
        out : str, optional
            Name of the copy; left out, `name`.
        block : bool, optional
            Whether to wait.
        timeout : float, optional
            Deadline on the engines in seconds.

        Returns
        -------
        dict of None, or AsyncResult
        """
        return self._named(names.bcast, (_name(name), self._root(root), _out(out, name)), block, timeout)

    def scatter(
        self,
        name: str,
        *,
        root: int = 0,
        out: str | None = None,
        block: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Split the root's sequence into one contiguous part for each rank, as `DirectView.scatter` splits one of here.

        Parameters
        ----------
        name : str
            The sequence's name on the root: a list, tuple, text, or an array of shape (n, …).
        root : int
            Rank in the group.
        out : str, optional
            Name of the parts; left out, `name`, also on the root.
        block : bool, optional
            Whether to wait.
        timeout : float, optional
            Deadline on the engines in seconds.

        Returns
        -------
        dict of None, or AsyncResult

        Examples
        --------
        >>> rc[0]["x"] = np.arange(6)
        >>> rc[:2].mpi.scatter("x", out="part", block=True)
        {0: None, 1: None}
        >>> rc[1]["part"]
        array([3, 4, 5])
        """
        return self._named(names.scatter, (_name(name), self._root(root), _out(out, name)), block, timeout)

    def gather(
        self,
        name: str,
        *,
        root: int = 0,
        out: str | None = None,
        block: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Join the parts of all ranks on the root, as `DirectView.gather` joins them here.

        Parameters
        ----------
        name : str
            The parts' name. Arrays are joined along the first axis; what is no sequence makes a list.
        root : int
            Rank in the group.
        out : str, optional
            Name of the whole on the root; left out, `name`.
        block : bool, optional
            Whether to wait.
        timeout : float, optional
            Deadline on the engines in seconds.

        Returns
        -------
        dict of None, or AsyncResult
        """
        return self._named(names.gather, (_name(name), self._root(root), _out(out, name)), block, timeout)

    def allgather(
        self, name: str, *, out: str | None = None, block: bool | None = None, timeout: float | None = None
    ) -> Any:
        """`gather` to all ranks."""
        return self._named(names.allgather, (_name(name), _out(out, name)), block, timeout)

    def alltoall(
        self, name: str, *, out: str | None = None, block: bool | None = None, timeout: float | None = None
    ) -> Any:
        """Split each rank's sequence, send part *j* to rank *j*, and join what each rank gets.

        Parameters
        ----------
        name : str
            The sequences' name; they are split as by `scatter`.
        out : str, optional
            Name of the result; left out, `name`.
        block : bool, optional
            Whether to wait.
        timeout : float, optional
            Deadline on the engines in seconds.

        Returns
        -------
        dict of None, or AsyncResult
        """
        return self._named(names.alltoall, (_name(name), _out(out, name)), block, timeout)

    def reduce(
        self, name: str, *, op: Op = "sum", root: int = 0, out: str | None = None, block: bool | None = None,
        timeout: float | None = None,
    ) -> Any:  # fmt: skip
        """Combine the values of all ranks on the root.

        Parameters
        ----------
        name : str
            The values' name: arrays of one shape, combined element by element, or anything that the operator takes.
        op : str or callable
            "sum", "prod", "min", "max", "land", "lor", "lxor", "band", "bor", "bxor", "minloc", "maxloc", or a function
            of two values, applied in the order of ranks.
        root : int
            Rank in the group.
        out : str, optional
            Name of the result on the root; left out, `name`.
        block : bool, optional
            Whether to wait.
        timeout : float, optional
            Deadline on the engines in seconds.

        Returns
        -------
        dict of None, or AsyncResult
        """
        arguments = (_name(name), checked(op), self._root(root), _out(out, name))
        return self._named(names.reduce, arguments, block, timeout)

    def allreduce(
        self,
        name: str,
        *,
        op: Op = "sum",
        out: str | None = None,
        block: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """`reduce` to all ranks.

        Examples
        --------
        >>> rc.push({"x": 2.5}, block=True)
        {0: None, 1: None, 2: None, 3: None}
        >>> rc[:].mpi.allreduce("x", op="sum", out="total", timeout=60, block=True)
        {0: None, 1: None, 2: None, 3: None}
        >>> rc[3]["total"]
        10.0
        """
        return self._named(names.allreduce, (_name(name), checked(op), _out(out, name)), block, timeout)

    def scan(
        self,
        name: str,
        *,
        op: Op = "sum",
        out: str | None = None,
        block: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Combine, on each rank, the values of rank 0 to that one; parameters as for `reduce`."""
        return self._named(names.scan, (_name(name), checked(op), _out(out, name)), block, timeout)

    # -- inside -------------------------------------------------------------------------------------------------

    def _root(self, root: int) -> int:
        engines = self._engines()
        size = len(engines)
        try:
            rank = index(root)
        except TypeError:
            raise TypeError(f"root: a rank is a number, not {type(root).__name__}: {root!r:.80}") from None
        if not 0 <= rank < size:
            raise ValueError(
                f"root: there is no rank {rank} in a group of {size}\n"
                f"hint: ranks are 0 to {size - 1}, in the order of the view's engines {engines}"
            )
        return rank

    def _named(self, f: Callable[..., Any], args: tuple[Any, ...], block: bool | None, timeout: float | None) -> Any:
        within = self._limit() if timeout is None else seconds(timeout)
        return self._submit(f.__name__, f, (*args, within), {}, block, within, agreed=True)


def seconds(timeout: float) -> float:
    """A deadline for engines.

    Raises
    ------
    ValueError
        When it is negative or no number.
    """
    if not timeout >= 0:
        raise ValueError(f"timeout: {timeout!r} is not a number of seconds; give one that is not negative")
    return float(timeout)


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"names are strings, not {type(name).__name__}: {name!r:.80}")
    return name


def _out(out: object, name: str) -> str:
    return name if out is None else _name(out)
