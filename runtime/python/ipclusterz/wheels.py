"""What hints tell pip to install: wheels, which the user has.

A name alone would be looked up on PyPI, where `ipclusterz` and `ipclusterz-mpi` are not the project's yet and may be
anybody's. The other places that say what to install are launcher/host/src/hints.rs and the beginning of README.md;
tests/docs/test_installing.py looks at all text.
"""

from __future__ import annotations

from ._core import VERSION

__all__ = ["BRIDGE", "PACKAGE"]

# Arguments of `pip install`, in the folder where the wheels are.
PACKAGE = f"./ipclusterz-{VERSION}-*.whl"
BRIDGE = "./ipclusterz_mpi-*.whl"
