"""ipclusterz whose controller writes nothing down: what the journal costs."""

from __future__ import annotations

from typing import ClassVar

from systems.with_ipclusterz import Ipclusterz


class WithoutJournal(Ipclusterz):
    journal: ClassVar[str] = "off"


SYSTEM = WithoutJournal
