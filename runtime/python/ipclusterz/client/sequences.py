"""The calls that move sequences to chosen engines, a part to each, and back."""

from __future__ import annotations

from ..compat import zip_equal
from ..shared.scatter import check_dist, is_text, partition
from .about import about
from .arguments import names_frames, namespace_frames
from .asyncresult import AsyncResult
from .calls import Calls
from .shapes import GatherResult
from .targets import OWN, waits
from .via import check_via, collect, deal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    from .targets import Own, Targets
    from .via import Via

__all__ = ["SequenceCalls"]


class SequenceCalls(Calls):
    """The part of `DirectCalls` that is about sequences."""

    __slots__ = ()

    def scatter(
        self,
        name: str,
        seq: Iterable[Any],
        dist: Literal["b", "r"] = "b",
        flatten: bool = False,
        *,
        via: Via = "auto",
        targets: Targets | Own = OWN,
        block: bool | None = None,
    ) -> Any:
        """Split a sequence into one part for each engine and push the parts.

        Parameters
        ----------
        name : str
            The part's name on each engine.
        seq : iterable
            Lists, tuples, strings and bytes are split into their own kind, arrays of shape (n, …) along the first
            axis, pandas frames by rows, and everything else into lists. With fewer elements than engines the last
            engines get empty parts.
        dist : {"b", "r"}
            Contiguous blocks, or round-robin: element i goes to engine i modulo the number of engines.
        flatten : bool
            Push the element itself where a part has exactly one.
        via : {"auto", "mpi", "direct"}
            How the parts get there: from the controller to each engine, or through the first engine, which passes them
            on by MPI. Each part travels once anyway, so by itself it goes directly.
        targets : optional
            Engines.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        None, dict of None, or AsyncResult

        Examples
        --------
        >>> rc.scatter("a", range(16), block=True)
        {0: None, 1: None, 2: None, 3: None}
        >>> rc[:]["a"]
        {0: [0, 1, 2, 3], 1: [4, 5, 6, 7], 2: [8, 9, 10, 11], 3: [12, 13, 14, 15]}
        """
        check_via(via)
        if not isinstance(name, str):
            raise TypeError(f"names are strings, not {type(name).__name__}: {name!r:.80}")
        chosen, single = self._choose(targets)
        self._owner_client._texts -= {name}
        if is_text(seq):
            self._owner_client._texts.add(name)
        parts = [namespace_frames({name: part}) for part in self._split(seq, len(chosen), dist, flatten)]
        if via == "mpi":
            return self._done(deal(self, chosen, single, parts), block)
        items = [([engine_id], part) for engine_id, part in zip_equal(chosen, parts)]
        told = about("call", method="scatter", single=single, requests=len(items))
        result = AsyncResult(self._owner_client, self._core.submit("push", items, about=told), "scatter", single)
        return self._done(result, block)

    def gather(
        self,
        name: str,
        dist: Literal["b", "r"] = "b",
        *,
        via: Via = "auto",
        targets: Targets | Own = OWN,
        block: bool | None = None,
    ) -> Any:
        """Pull a name from each engine and join the parts in the order of the engines.

        Parameters
        ----------
        name : str
            The part's name.
        dist : {"b", "r"}
            How the parts were scattered.
        via : {"auto", "mpi", "direct"}
            As for `scatter`, on the way back.
        targets : optional
            Engines.
        block : bool, optional
            Whether to wait.

        Returns
        -------
        sequence or AsyncResult
            Arrays are joined along the first axis, frames by rows. Texts and bytes are joined if this client scattered
            such under that name; else they are values, of which there is a list.

        Raises
        ------
        ValueError
            When there is no such `dist`, or the parts cannot be those of a round-robin split.
        """
        check_dist(dist)
        check_via(via)
        if not isinstance(name, str):
            raise TypeError(f"names are strings, not {type(name).__name__}: {name!r:.80}")
        frames = names_frames(name)
        chosen, single = self._choose(targets)
        texts = name in self._owner_client._texts
        if via == "mpi":
            result: GatherResult = collect(self, chosen, single, name, dist, texts)
        else:
            told = about("gather", method="gather", single=single, dist=dist, texts=texts)
            pending = self._core.submit("pull", [(chosen, frames)], about=told)
            result = GatherResult(self._owner_client, pending, single, dist, texts=texts)
        return result.get() if waits(self, block) else result

    # -- inside -------------------------------------------------------------------------------------------------

    def _split(self, seq: Iterable[Any], count: int, dist: Literal["b", "r"], flatten: bool) -> list[Any]:
        """The parts of a sequence."""
        return partition(seq, count, dist, flatten)
