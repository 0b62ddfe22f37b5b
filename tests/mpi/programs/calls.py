"""What each communicator is doing is told, in the middle of a call too, by names that are the same on all ranks."""

import ctypes
import json
import threading
import time

import ipclusterz_mpi
from ranks import comm, done, rank, size


def told() -> dict[str, dict[str, object]]:
    return {entry["comm"]: entry for entry in json.loads(ipclusterz_mpi.load().calls())}


assert told()["world"] == {"comm": "world", "epoch": 1, "entered": 0, "call": "", "inside": False}
comm.Barrier()
assert told()["world"] == {"comm": "world", "epoch": 1, "entered": 1, "call": "Barrier", "inside": False}
comm.allgather(1)
assert told()["world"]["call"] == "Allgather"

# Made in the same order everywhere, and by some of them only.
one, two, half = comm.dup(), comm.dup(), comm.split(rank % 2)
group = comm.create_group(range(size - 1)) if rank < size - 1 else None
assert half is not None
assert (one.name, two.name, half.name) == ("world.dup", "world.dup#2", f"world.split({rank % 2})")
assert group is None or group.name == f"world.group({','.join(map(str, range(size - 1)))})"
assert set(comm.allgather(tuple(name for name in told() if "dup" in name))) == {("world.dup", "world.dup#2")}
two.free()
assert "world.dup#2" not in told()

# The address, for a thread without the GIL.
# The last of the addresses; what it is to tell is a number, 0 for the calls.
tell = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint8)(
    ipclusterz_mpi.load().addresses()[-1]
)
length = tell(None, 0, 0)
buffer = ctypes.create_string_buffer(length)
assert tell(buffer, length, 0) == length
assert json.loads(buffer.raw)[0]["comm"] == "world"


def watch() -> None:
    deadline = time.monotonic() + 60
    while not told()["world.dup"]["inside"] and time.monotonic() < deadline:
        time.sleep(0.001)
    comm.send(told()["world.dup"], 0)


if rank:
    watcher = threading.Thread(target=watch)
    watcher.start()
    one.Barrier()
    watcher.join()
else:
    # Rank 0 is the one that they wait for: it comes when all are in.
    for _ in range(1, size):
        entry = comm.recv()
        assert (entry["entered"], entry["call"], entry["inside"]) == (1, "Barrier", True), entry
    assert told()["world.dup"]["entered"] == 0
    one.Barrier()
assert told()["world.dup"] == {"comm": "world.dup", "epoch": 1, "entered": 1, "call": "Barrier", "inside": False}
done()
