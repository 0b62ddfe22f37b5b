"""The GPUs of a host, and which of them each engine sees.

Drivers read a variable with ids when a program first uses them. What it does not name is not there for that program.
"""

from __future__ import annotations

from pathlib import Path

from ..shared.ranks import started_by_srun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

__all__ = ["NVIDIA", "ROCM", "ROOT", "choose", "deal"]

NVIDIA = "CUDA_VISIBLE_DEVICES"
ROCM = "ROCR_VISIBLE_DEVICES"
ROOT = Path("/")
# On a host with GPUs of AMD's, these count what the other variable leaves: HIP knows that of CUDA, too.
_WITHIN_ROCM = ("HIP_VISIBLE_DEVICES", NVIDIA)


def choose(wanted: str, environment: MutableMapping[str, str], index: int, engines: int, root: Path = ROOT) -> str:
    """Set the variables for one of the engines of a host.

    Parameters
    ----------
    wanted : str
        "auto", or ids with commas between them.
    environment : dict
        Its variables; those that name GPUs already say which there are.
    index, engines : int
        Which engine this is, and how many there are.
    root : Path
        Of the file system.

    Returns
    -------
    str
        What this engine has, for people.
    """
    counts = {NVIDIA: _nvidia(root), ROCM: _rocm(root)}
    amd = counts[ROCM] > 0 and counts[NVIDIA] == 0
    if wanted != "auto":
        lists = {ROCM if amd else NVIDIA: wanted.split(",")}
    elif amd:
        lists = _of_amd(environment, counts[ROCM])
    else:
        lists = {name: _ids(environment, name, count) for name, count in counts.items()}
    said = "no GPU"
    for name, ids in lists.items():
        if not ids:
            continue
        if wanted == "auto" and _given_by_slurm(environment, ids):
            said = _words(ids, 1)
        else:
            own, sharing = deal(ids, index, engines)
            environment[name] = ",".join(own)
            said = _words(own, sharing)
    if amd and lists[ROCM]:
        for name in _WITHIN_ROCM:
            environment.pop(name, None)
    return said


def deal(ids: list[str], index: int, engines: int) -> tuple[list[str], int]:
    """Those of one of the engines, and how many engines have these: blocks, or one each in turn."""
    if engines > len(ids):
        own = index % len(ids)
        return [ids[own]], len(range(own, engines, len(ids)))
    return ids[index * len(ids) // engines : (index + 1) * len(ids) // engines], 1


def _ids(environment: Mapping[str, str], name: str, count: int) -> list[str]:
    """Those that a variable names, or all; what cannot be an id ends the list, as for the driver."""
    inherited = environment.get(name)
    if inherited is None:
        return [str(number) for number in range(count)]
    ids = []
    for part in inherited.split(","):
        gpu = part.strip()
        if not (gpu.isdecimal() or gpu.startswith(("GPU-", "MIG-"))):
            break
        ids.append(gpu)
    return ids


def _of_amd(environment: Mapping[str, str], count: int) -> dict[str, list[str]]:
    all_of_them = _ids(environment, ROCM, count)
    for name in _WITHIN_ROCM:
        if name in environment:
            numbers = [int(number) for number in _ids(environment, name, 0) if number.isdecimal()]
            return {ROCM: [all_of_them[number] for number in numbers if number < len(all_of_them)]}
    return {ROCM: all_of_them}


def _given_by_slurm(environment: Mapping[str, str], ids: list[str]) -> bool:
    """Whether srun has given this task some of the GPUs of its step, as with ``--gpus-per-task``.

    The ids of a step are then those of the task in some versions, and the number is that of the node.
    """
    on_node = environment.get("SLURM_GPUS_ON_NODE", "")
    count = int(on_node) if on_node.isdecimal() else 0
    of_step = [gpu for gpu in environment.get("SLURM_STEP_GPUS", "").split(",") if gpu]
    return started_by_srun(environment) and len(ids) < max(count, len(of_step))


def _nvidia(root: Path) -> int:
    """How many there are. CUDA counts those that it finds from 0 on, whatever the numbers of their files are."""
    return len(list(root.glob("dev/nvidia[0-9]*")))


def _rocm(root: Path) -> int:
    """How many there are; the kernel lists the processors as well, without an id."""
    found = 0
    for file in root.glob("sys/class/kfd/kfd/topology/nodes/*/gpu_id"):
        try:
            found += file.read_text().strip() not in ("", "0")
        except OSError:
            # Another container's.
            continue
    return found


def _words(ids: list[str], sharing: int) -> str:
    shared = f" (shared by {sharing} engines)" if sharing > 1 else ""
    return f"GPU{'s' * (len(ids) > 1)} {','.join(ids)}" + shared
