"""The flags of a load-balanced view: what its calls wait for, what they need, how often they are tried again.

`terms` checks them, and makes of them what the controller reads.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy

from .terms import FLAGS, Flag, changed, terms_of
from .view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from typing_extensions import Self

    from .connection import Connection

__all__ = ["Flagged"]

# What `set_flags` sets beside the flags of calls, and where all of it is kept.
_ATTRIBUTES = ("label", "duration", "targets", "block", "bound", "quiet")
_STATE = ("_flags", "_label", "_duration", "_targets", "_block", "bound", "_quiet")


class Flagged(View):
    """A view with flags; the part of `LoadBalancedView` that is about them."""

    __slots__ = ("_duration", "_flags")

    retries = Flag()
    retry_on = Flag()
    retry_delay = Flag()
    crash_limit = Flag()
    timeout = Flag()
    time_limit = Flag()
    priority = Flag()
    after = Flag()
    follow = Flag()

    def __init__(self, client: Connection) -> None:
        super().__init__(client)
        # Those that are not as at first.
        self._flags: dict[str, Any] = {}
        self._duration: float | None = None

    @property
    def duration(self) -> float | None:
        """How many seconds each call will take at most; None: that is not known.

        Raises
        ------
        TypeError
            When it is set to something that is no number.
        ValueError
            When it is negative or not finite.
        """
        return self._duration

    @duration.setter
    def duration(self, value: float | None) -> None:
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"duration is a number of seconds or None, not {type(value).__name__}")
            if not 0 <= value < float("inf"):
                raise ValueError(f"duration is a number of seconds, 0 or more, not {value}")
        self._duration = value

    # -- all at once --------------------------------------------------------------------------------------------

    def set_flags(self, **flags: Any) -> None:
        """Set several attributes of the view at once.

        Parameters
        ----------
        **flags
            ``after``, ``follow``, ``timeout``, ``time_limit``, ``retries``, ``retry_on``, ``retry_delay``,
            ``crash_limit``, ``priority``, ``needs``, ``label``, ``duration``, ``targets``, ``block``, ``bound`` and
            ``quiet``.
            `needs` is a dictionary of amounts and tags, as for the method of that name:
            ``{"gpus": 1, "bigmem": True}``.

        Raises
        ------
        TypeError
            When there is no such flag; names those that there are.
        ValueError
            When it cannot have that value.

        Examples
        --------
        >>> view = rc.load_balanced_view()
        >>> view.set_flags(retries=3, retry_on=(OSError,), priority=1)
        >>> view.retries, view.priority
        (3, 1)
        """
        for name in flags:
            if name not in FLAGS and name not in _ATTRIBUTES:
                names = ", ".join([*FLAGS, *_ATTRIBUTES])
                raise TypeError(f"a load-balanced view has no flag {name!r}; there are: {names}")
        # All of them are looked at before one is set.
        view = self._copy()
        for name, value in flags.items():
            if name in FLAGS:
                view._flags = changed(view._flags, name, value)
            else:
                setattr(view, name, value)
        self._become(view)

    @contextmanager
    def temp_flags(self, **flags: Any) -> Iterator[None]:
        """Set attributes of the view for a block of code; see `set_flags`.

        They hold for all threads that use this view.

        Parameters
        ----------
        **flags
            As for `set_flags`.

        Yields
        ------
        None

        Examples
        --------
        >>> view = rc.load_balanced_view()
        >>> first = view.apply_async(abs, -1)
        >>> with view.temp_flags(after=[first], timeout=60):
        ...     view.apply_sync(abs, -2)
        2
        """
        before = self._copy()
        try:
            self.set_flags(**flags)
            yield
        finally:
            self._become(before)

    def needs(self, *tags: str, **amounts: Any) -> Self:
        """A view like this one whose calls go to engines that offer something.

        Engines offer what ``[engines.resources]`` and ``engines.tags`` of the profile say. A call that no engine of the
        cluster can ever have fails at once, with `RejectedError`; one that none can have now waits.

        Parameters
        ----------
        *tags : str
            What an engine has to be called.
        **amounts : float or str
            How much of what, which may be a fraction: ``gpus=0.5``, ``memory="16G"``. Engines do one call at a time, so
            what one offers is the call's alone; ``os.environ["CUDA_VISIBLE_DEVICES"]`` has as many GPUs as it has asked
            for.

        Returns
        -------
        LoadBalancedView

        Raises
        ------
        TypeError, ValueError
            When an amount is neither a number nor a size.

        Examples
        --------
        >>> rc.load_balanced_view().needs("bigmem", gpus=1)
        <LoadBalancedView of all engines, needs gpus=1, bigmem>
        """
        view = self._copy()
        view.set_flags(needs={**(self._flags.get("needs") or {}), **dict.fromkeys(tags, True), **amounts})
        return view

    # -- inside -------------------------------------------------------------------------------------------------

    def _copy(self) -> Self:
        # What is kept of flags is never changed in place.
        return copy(self)

    def _become(self, other: Self) -> None:
        """Take over all that `set_flags` can have set."""
        for name in _STATE:
            setattr(self, name, getattr(other, name))

    def _asked(self) -> str:
        """What calls need, as the view shows it."""
        needs = self._flags.get("needs")
        if needs is None:
            return ""
        named = sorted(needs.items(), key=lambda need: need[1] is True)
        return ", needs " + ", ".join(name if amount is True else f"{name}={amount}" for name, amount in named)

    def _terms(self) -> str | None:
        """What else the controller is asked for; nothing, mostly."""
        return terms_of(self.client, self._flags) if self._flags or self.client.priority else None
