"""What an engine offers to tasks, and what of it a task has while it runs."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from math import ceil

from ..shared.current import RunningTask, current
from .gpus import NVIDIA, ROCM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .options import Options

__all__ = ["Resources"]

# The controller counts ten-thousandths.
_PARTS = 10_000
# The resource of which it is known which they are.
_GPUS = "gpus"


class Resources:
    """What an engine offers.

    Parameters
    ----------
    options : Options
        What it was told.
    environment : mapping
        Its variables, after it has taken its place.

    Raises
    ------
    ValueError
        When an amount is no number.
    """

    def __init__(self, options: Options, environment: Mapping[str, str]) -> None:
        self._amounts = dict(_amount(part) for part in options.resources.split(",") if part)
        self._tags = [tag for tag in options.tags.split(",") if tag]
        self._variable = ROCM if ROCM in environment and NVIDIA not in environment else NVIDIA
        self._gpus = _own_gpus(self._amounts.get(_GPUS, 0.0), environment.get(self._variable), options)

    @property
    def told(self) -> str | None:
        """As the controller reads it; None: nothing is offered."""
        if not self._amounts and not self._tags:
            return None
        amounts = {name: round(amount * _PARTS) for name, amount in self._amounts.items()}
        return json.dumps({"amounts": amounts, "tags": sorted(set(self._tags))})

    @contextmanager
    def lent(self, needs: str) -> Iterator[None]:
        """Let a task have what it needs: its GPUs are in the variable that drivers read."""
        asked = json.loads(needs)
        has: dict[str, Any] = {name: amount / _PARTS for name, amount in asked.get("amounts", {}).items()}
        has.update(dict.fromkeys(asked.get("tags", ()), True))
        before = os.environ.get(self._variable)
        if _GPUS in has:
            has[_GPUS] = self._gpus[: ceil(has[_GPUS])]
            os.environ[self._variable] = ",".join(has[_GPUS])
        current.has = RunningTask(has)
        try:
            yield
        finally:
            current.has = None
            if _GPUS in has:
                _set(self._variable, before)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _amount(part: str) -> tuple[str, float]:
    name, _, number = part.partition("=")
    return name, float(number)


def _own_gpus(amount: float, inherited: str | None, options: Options) -> list[str]:
    """The ids of the GPUs that an engine offers: its own ones, or those of its seat."""
    if amount <= 0:
        return []
    ids = [gpu.strip() for gpu in inherited.split(",") if gpu.strip()] if inherited is not None else None
    count = ceil(amount)
    if ids is not None and options.gpus is not None:
        return ids[:count]
    first = int(options.host_index * amount)
    if ids is None:
        return [str(number) for number in range(first, first + count)]
    # Those that all engines of the host have inherited are dealt out; where that are too few, they share.
    return ids[first : first + count] or ids[:count]
