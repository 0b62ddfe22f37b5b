"""What an engine does with a batch of joblib's tasks; see `client.backend`. joblib is optional."""

from __future__ import annotations

from joblib.parallel import BatchedCalls  # type: ignore[import-untyped]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["run"]


def run(functions: list[Callable[..., Any]], nested: Any, arguments: list[tuple[Any, Any]]) -> list[Any]:
    """Run a batch."""
    items = [(function, *given) for function, given in zip(functions, arguments, strict=True)]
    results: list[Any] = BatchedCalls(items, nested)()
    return results
