"""What an engine offers to tasks, and what of it a task has while it runs."""

from __future__ import annotations

import os

from ..shared.current import RunningTask, current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .options import Options

__all__ = ["Resources"]

# The controller counts ten-thousandths.
_PARTS = 10_000
# The resource of which it is known which they are.
_GPUS = "gpus"


class Resources:
    """What an engine offers. Most offer nothing, and start without what this needs.

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
        # What tasks have that run, the one inside the other, in ten-thousandths.
        self._held: list[dict[str, int]] = []
        self._variable = ""
        self._gpus: list[str] = []
        if _GPUS in self._amounts:
            from .gpus import NVIDIA, ROCM

            self._variable = ROCM if ROCM in environment and NVIDIA not in environment else NVIDIA
            self._gpus = _own_gpus(self._amounts[_GPUS], environment.get(self._variable), options)

    @property
    def told(self) -> str | None:
        """As the controller reads it; None: nothing is offered."""
        if not self._amounts and not self._tags:
            return None
        import json

        amounts = {name: round(amount * _PARTS) for name, amount in self._amounts.items()}
        return json.dumps({"amounts": amounts, "tags": sorted(set(self._tags))})

    def lacks(self, needs: str) -> str:
        """What is missing for a task beside those that run, in words; empty: nothing."""
        import json

        asked = json.loads(needs)
        missing = [f"no tag {tag}" for tag in asked.get("tags", ()) if tag not in self._tags]
        for name, amount in asked.get("amounts", {}).items():
            offered = round(self._amounts.get(name, 0) * _PARTS)
            left = max(0, offered - sum(held.get(name, 0) for held in self._held))
            if left < amount:
                missing.append(f"{name}: {amount / _PARTS:g} needed, {left / _PARTS:g} of {offered / _PARTS:g} left")
        return "; ".join(missing)

    def lent(self, needs: str) -> Lent:
        """For a block, let a task have what it needs: its GPUs are in the variable that drivers read."""
        import json

        asked = json.loads(needs)
        amounts = asked.get("amounts", {})
        has: dict[str, Any] = {name: amount / _PARTS for name, amount in amounts.items()}
        has.update(dict.fromkeys(asked.get("tags", ()), True))
        if _GPUS not in has:
            return Lent(self._held, amounts, has, {})
        # The task that waits for this one keeps its own.
        before = current.has.resources.get(_GPUS, []) if current.has is not None else []
        gpus = [gpu for gpu in self._gpus if gpu not in before] + [gpu for gpu in self._gpus if gpu in before]
        has[_GPUS] = gpus[: _whole(has[_GPUS])]
        return Lent(self._held, amounts, has, {self._variable: ",".join(has[_GPUS])})


class Lent:
    """What a task has, in a block."""

    def __init__(
        self, held: list[dict[str, int]], amounts: dict[str, int], resources: dict[str, Any], variables: dict[str, str]
    ) -> None:
        self._held = held
        self._amounts = amounts
        self._outer: RunningTask | None = None
        self._resources = resources
        self._variables = variables
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)
        self._held.append(self._amounts)
        self._outer, current.has = current.has, RunningTask(self._resources)

    def __exit__(self, *_error: object) -> None:
        current.has = self._outer
        self._held.remove(self._amounts)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _amount(part: str) -> tuple[str, float]:
    name, _, number = part.partition("=")
    return name, float(number)


def _whole(amount: float) -> int:
    """So many GPUs have a part in an amount."""
    return -int(-amount // 1)


def _own_gpus(amount: float, inherited: str | None, options: Options) -> list[str]:
    """The ids of the GPUs that an engine offers: its own ones, or those of its seat."""
    if amount <= 0:
        return []
    ids = [gpu.strip() for gpu in inherited.split(",") if gpu.strip()] if inherited is not None else None
    count = _whole(amount)
    if ids is not None and options.gpus is not None:
        return ids[:count]
    first = int(options.host_index * amount)
    if ids is None:
        return [str(number) for number in range(first, first + count)]
    # Those that all engines of the host have inherited are dealt out; where that are too few, they share.
    return ids[first : first + count] or ids[:count]
