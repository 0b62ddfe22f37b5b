"""PEP 517 backend: maturin, with the libclang of PyPI where the system has none.

rsmpi's binding is made from the site's own mpi.h by bindgen, which needs libclang, and of clang's headers those that
gcc has as well.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from maturin import (
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_wheel",
]


def _find_libclang() -> None:
    if "LIBCLANG_PATH" in os.environ:
        return
    import clang

    folder = Path(clang.__path__[0], "native")
    headers = subprocess.run(["gcc", "-print-file-name=include"], capture_output=True, text=True, check=True)
    os.environ["LIBCLANG_PATH"] = str(folder)
    os.environ.setdefault("BINDGEN_EXTRA_CLANG_ARGS", f"-isystem {headers.stdout.strip()}")


_find_libclang()
