"""What all calls need of the client or view that they are made on."""

from __future__ import annotations

from .targets import waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._core import Client as Core
    from .asyncresult import AsyncResult
    from .connection import Connection
    from .targets import Own, Targets

__all__ = ["Calls"]


class Calls:
    """The base of `DirectCalls`: engines to choose from, a connection, and whether to wait."""

    __slots__ = ()

    if TYPE_CHECKING:
        _core: Core
        _label: Any
        block: Any
        targets: Any
        quiet: Any

        @property
        def _owner_client(self) -> Connection: ...
        def _choose(self, targets: Targets | Own) -> tuple[list[int], bool]: ...

    def _done(self, result: AsyncResult, block: bool | None) -> Any:
        if not waits(self, block):
            return result
        return result._answer()
