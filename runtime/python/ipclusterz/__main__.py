"""``python -m ipclusterz``: the `ipclusterz` command of this environment, also where it is not on PATH."""

from __future__ import annotations

import os
import sys

from .client.command import program
from .error import ClusterError


def main() -> None:
    """Become the command, with the arguments of this process."""
    try:
        path = program()
        os.execv(path, ["ipclusterz", *sys.argv[1:]])
    except (ClusterError, OSError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
