"""Waits of rank 0, which hears that rank 1 has ended its part: by an exception, or without one."""

import ctypes
import time

import numpy as np
from ranks import comm, done, raised, rank

from ipclusterz import mpi
from ipclusterz.mpi.bridge import bridge

_, _, begin_turn, leave, tell = bridge().addresses()
begin_turn = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t)(begin_turn)
leave = ctypes.CFUNCTYPE(
    None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t
)(leave)
tell = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint8)(tell)
bridge().set_members([0, 1])


def told(what: int) -> str:
    room = ctypes.create_string_buffer(1 << 16)
    length = tell(room, len(room), what)
    return room.raw[:length].decode()


def turn(why: str, entered: str, renewal: int = 0) -> None:
    """A turn begins, and rank 1 has ended its part."""
    begin_turn(1, renewal, (ctypes.c_uint32 * 2)(0, 1), 2)
    leave(1, 1, why.encode(), len(why.encode()), entered.encode(), len(entered.encode()))


def waits(text: str, least: float, most: float, call, *arguments) -> mpi.RankRaised:
    began = time.monotonic()
    error = raised(mpi.RankRaised, call, *arguments)
    assert text in str(error), error
    assert least <= time.monotonic() - began < most, time.monotonic() - began
    return error


# All communicators are made by both; what follows on each is tried by rank 0 alone.
spares = [comm.dup() for _ in range(12)]
here = "\n".join(line.split("\t")[0] + "\t" for line in told(2).splitlines())
begin_turn(1, 2, (ctypes.c_uint32 * 2)(0, 1), 2)
assert told(1) == "0 world#3"
if rank == 0:
    left, returned = (
        "rank 1 (engine 1) has left this call: ValueError: x",
        "rank 1 (engine 1) has ended its call without",
    )
    turn("ValueError: x", here)
    error = waits(left, 0, 1, spares.pop().Barrier)
    assert (error.rank, error.cause, error.error_class) == (1, "ValueError: x", "rank left")
    waits(left, 1, 9, spares.pop().recv, 1)
    waits(left, 1, 9, spares.pop().recv, mpi.ANY_SOURCE)
    waits(left, 1, 9, spares.pop().create_group, [0, 1])
    waits(left, 1, 9, spares.pop().Send, np.zeros(1 << 20), 1)
    # It had entered that, or has no such communicator any more.
    turn("ValueError: x", here.replace(" 0 ", " 9 "))
    broken = spares.pop()
    waits(left, 1, 9, broken.Barrier)
    turn("ValueError: x", "")
    waits(left, 1, 9, spares.pop().Barrier)
    # It left because of another one, which is named.
    turn("ValueError: x", "")
    leave(0, 0, b"RankRaised: y", 13, here.encode(), len(here.encode()))
    waits(left, 0, 9, spares.pop().Barrier)
    for call in ("Barrier", "recv"):
        turn("", here)
        # A message may be on its way through a slow network.
        least, most = (20, 29) if call == "recv" else (1, 9)
        error = waits(returned, least, most, getattr(spares.pop(), call), *([1] if call == "recv" else []))
        assert (error.rank, error.cause) == (1, "")
    turn("", here)
    assert raised(mpi.MPITimeout, spares.pop().recv, 1, timeout=0.3)
    begin_turn(0, 0, None, 0)
    assert "cannot be used any more" in str(raised(mpi.MPIError, broken.to_mpi4py))
comm.barrier()
done()
