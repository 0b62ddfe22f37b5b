"""PEP 517 backend: maturin, after a look at what the build needs, with the libclang of PyPI where the system has none.

rsmpi's binding is made from the site's own mpi.h by bindgen, which needs libclang, and of clang's headers those that
the C compiler has as well.
"""

from __future__ import annotations

import os
from typing import Any

import host_requirements
import maturin
from maturin import build_sdist, get_requires_for_build_sdist

__all__ = [
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_wheel",
]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Nothing more. What only the host can have is missed here, before anything is compiled."""
    host_requirements.check(os.environ)
    return []


def prepare_metadata_for_build_wheel(folder: str, config_settings: Any = None) -> str:
    """As maturin does."""
    host_requirements.check(os.environ)
    made: str = maturin.prepare_metadata_for_build_wheel(folder, config_settings)
    return made


def build_wheel(folder: str, config_settings: Any = None, metadata_folder: str | None = None) -> str:
    """As maturin does, with libclang found."""
    host_requirements.check(os.environ)
    host_requirements.find_libclang(os.environ)
    made: str = maturin.build_wheel(folder, config_settings, metadata_folder)
    return made
