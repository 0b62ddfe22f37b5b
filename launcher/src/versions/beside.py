"""Prints the versions of this Python, of the package ipclusterz, and of its MPI: one line of JSON."""

import sys

# As for engines, nothing is imported from the working folder.
sys.path[:] = filter(None, sys.path)

import json  # noqa: E402
import platform  # noqa: E402


def package():
    try:
        import ipclusterz
    except ModuleNotFoundError as error:
        return {"error": None if error.name == "ipclusterz" else str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"version": ipclusterz.__version__}


def bridge():
    try:
        import ipclusterz_mpi
    except ModuleNotFoundError as error:
        return {"error": None if error.name == "ipclusterz_mpi" else str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    told = {}
    try:
        told["version"] = getattr(ipclusterz_mpi, "__version__", None) or ipclusterz_mpi.VERSION
        if hasattr(ipclusterz_mpi, "about"):
            told["serves"] = ipclusterz_mpi.serves()
            told["library"], told["path"] = ipclusterz_mpi.about().says, ipclusterz_mpi.about().path
        else:
            told["library"] = ipclusterz_mpi.library_version()
    except Exception as error:
        told["error"] = str(error)
    return told


told = {"ipclusterz_versions": 1, "version": platform.python_version(), "package": package(), "bridge": bridge()}
print(json.dumps(told))
