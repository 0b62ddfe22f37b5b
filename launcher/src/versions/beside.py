"""Prints the versions of this Python, of the package ipclusterz, and of its MPI: one line of JSON."""

import sys

# As for engines, nothing is imported from the working folder.
sys.path[:] = filter(None, sys.path)

import json  # noqa: E402
import platform  # noqa: E402
from importlib import import_module  # noqa: E402


def imported(name):
    """A package, or why it cannot be imported; neither if it is not installed."""
    try:
        return import_module(name), None
    except ModuleNotFoundError as error:
        return None, None if error.name == name else str(error)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def package():
    found, error = imported("ipclusterz")
    return {"error": error} if found is None else {"version": found.__version__}


def bridge():
    found, error = imported("ipclusterz_mpi")
    if found is None:
        return {"error": error}
    told = {}
    try:
        told["version"], told["serves"] = found.__version__, found.serves()
        loaded = found.about()
        told["library"], told["path"] = loaded.says, loaded.path
    except Exception as error:
        told["error"] = str(error)
    return told


told = {"ipclusterz_versions": 1, "version": platform.python_version(), "package": package(), "bridge": bridge()}
print(json.dumps(told))
