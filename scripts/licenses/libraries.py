"""What is linked into the wheels and is no crate: C and C++ libraries, and what compilers add.

A crate that carries a C library has the library's sources in it. The texts of what comes with a compiler are in
`third-party/licenses/`.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from crates import Component, Failed, Workspace

TEXTS = Path(__file__).resolve().parents[2] / "third-party" / "licenses"


@dataclass(frozen=True)
class Carried:
    """A library in the sources of a crate. A path after a colon is within an archive."""

    name: str
    crate: str
    license: str
    text: str
    # Where its version is, and how it is written there; else it is behind the + of the crate's own.
    version: tuple[str, str] | None = None


CARRIED = (
    Carried("libsodium", "libsodium-sys-stable", "ISC", "LATEST.tar.gz:libsodium-stable/LICENSE",
            ("LATEST.tar.gz:libsodium-stable/configure.ac", r"AC_INIT\(\[libsodium\],\[([^]]+)\]")),
    Carried("libssh2", "libssh2-sys", "BSD-3-Clause", "libssh2/COPYING",
            ("libssh2/include/libssh2.h", r'LIBSSH2_VERSION\s+"([^"]+)"')),
    Carried("libzmq", "zeromq-src", "MPL-2.0", "vendor/LICENSE"),
    Carried("OpenSSL", "openssl-src", "Apache-2.0", "openssl/LICENSE.txt"),
    Carried("zlib", "libz-sys", "Zlib", "src/zlib/LICENSE", ("src/zlib/zlib.h", r'ZLIB_VERSION\s+"([^"]+)"')),
)  # fmt: skip


def in_wheel(workspace: Workspace) -> list[Component]:
    """All of them that belong to what the workspace builds."""
    carried = [_component(library, package) for library in CARRIED for package in workspace.find(library.crate)]
    toolchain = re.search(r'channel = "(.+)"', (TEXTS.parents[1] / "rust-toolchain.toml").read_text())
    if toolchain is None:
        raise Failed("rust-toolchain.toml: names no channel")
    rust = Component("Rust's standard library", toolchain[1], "MIT AND Unicode-3.0", (_text("rust.txt"),))
    # The C++ library, what unwinds the stack and the compiler's arithmetic: `make dist` links those that Zig brings.
    llvm = Component("LLVM's runtime libraries", "", "Apache-2.0 WITH LLVM-exception", (_text("llvm.txt"),))
    return [*carried, llvm, rust]


def _component(library: Carried, package: dict) -> Component:
    folder = Path(package["manifest_path"]).parent
    if library.version is None:
        version = package["version"].partition("+")[2]
    else:
        file, pattern = library.version
        found = re.search(pattern, _read(folder, file))
        version = found[1] if found else ""
    if not version:
        raise Failed(f"{library.name}: its version is not where scripts/licenses/libraries.py says, in {folder}")
    return Component(library.name, version, library.license, (_read(folder, library.text),))


def _read(folder: Path, file: str) -> str:
    archive, _, member = file.partition(":")
    try:
        if not member:
            return (folder / file).read_text(errors="replace")
        with tarfile.open(folder / archive) as opened:
            stream = opened.extractfile(member)
            return stream.read().decode(errors="replace") if stream else ""
    except (OSError, KeyError) as error:
        raise Failed(f"{folder / file}: {error}\nhint: scripts/licenses/libraries.py says what is where") from error


def _text(name: str) -> str:
    return (TEXTS / name).read_text()
