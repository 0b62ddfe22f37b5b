"""Results that are put together in another shape than one value for each engine."""

from __future__ import annotations

from ..compat import zip_equal
from ..shared.scatter import join
from .asyncresult import AsyncResult
from .results import ResultsDict, ResultsList

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    from .._core import Pending
    from .future import Owner

__all__ = ["ExecuteResult", "GatherResult", "ZipResult"]


class ExecuteResult(AsyncResult):
    """What cells of code gave: several are shown as the Results List."""

    def _joined(self) -> Any:
        return self._values[0] if self._single else ResultsList(self._values)

    def _by_engine(self, items: Iterable[tuple[int, Any]]) -> dict[int, Any]:
        return ResultsDict(items)


class GatherResult(AsyncResult):
    """The parts of a sequence, joined once they are all there."""

    def __init__(
        self,
        client: Owner,
        pending: Pending,
        single: bool,
        dist: Literal["b", "r"],
        method: str = "gather",
        texts: bool = False,
    ) -> None:
        super().__init__(client, pending, method, single)
        self._dist = dist
        self._texts = texts

    def _joined(self) -> Any:
        return join(self._values, self._dist, self._texts)


class ZipResult(AsyncResult):
    """Pulled values by name: a tuple over the engines for each name, or only one tuple."""

    def __init__(self, client: Owner, pending: Pending, single: bool, one_name: bool) -> None:
        super().__init__(client, pending, "zip_pull", single)
        self._one_name = one_name

    def _joined(self) -> Any:
        return tuple(self._values) if self._one_name else list(zip_equal(*self._values))
