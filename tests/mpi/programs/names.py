"""Collectives on names of namespaces, as a client's groups call them, without a cluster."""

from fractions import Fraction
from typing import Any

import numpy as np
from ranks import comm, data, done, rank, refused, same, size

from ipclusterz.client.arguments import namespace_frames
from ipclusterz.mpi import carry, names
from ipclusterz.shared.namespace import Namespace
from ipclusterz.shared.scatter import join, partition
from ipclusterz.shared.serialize import loads

# Ids of engines need not be their ranks.
space = Namespace(10 + rank)
roots = sorted({0, size // 2, size - 1})
LIMIT = 60.0


def equal(found: Any, wanted: Any, what: object) -> None:
    """The same, arrays in type and in every element."""
    assert type(found) is type(wanted), (what, type(found), type(wanted))
    if not isinstance(wanted, np.ndarray):
        assert repr(found) == repr(wanted), (what, found, wanted)
        return
    assert found.shape == wanted.shape, (what, found.shape, wanted.shape)
    assert found.flags.writeable, what
    if wanted.dtype.hasobject:
        assert found.tolist() == wanted.tolist(), (what, found, wanted)
    else:
        same(found, wanted, what)


def all_refuse(kind: type[BaseException], text: str, function: Any, *arguments: Any) -> None:
    """All ranks raise that error; afterwards they are still in step."""
    refused(kind, text, function, comm, *arguments)
    assert comm.allreduce(1) == size


# What ranks have: arrays of many kinds and orders, objects, and both at once.
SEQUENCES: dict[str, Any] = {
    "floats": lambda other: data(other, 7 + other, "f8"),
    "rows": lambda other: data(other, 3 * (other + 2), "i4").reshape(-1, 3),
    "none": lambda other: np.empty(0),
    "large": lambda other: data(other, 50_000 + other, "c16"),
    "strided": lambda other: data(other, 40, "i8")[::2],
    "columns": lambda other: np.asfortranarray(data(other, 12, "f4").reshape(4, 3)),
    "times": lambda other: np.arange(5 + other).astype("M8[s]"),
    "texts": lambda other: np.array(["a", "bc", str(other)]),
    "records": lambda other: np.array([(other, 1.5), (2, 2.5)], [("a", "i4"), ("b", "f8")]),
    "objects in an array": lambda other: np.array([Fraction(other, 3), None], object),
    "swapped": lambda other: data(other, 6, ">i4"),
    "other types": lambda other: data(other, 4, ("f8", "i4")[other % 2]),
    "lists": lambda other: [other, "x" * other, [other]],
    "text": lambda other: "abc" * (other + 1),
    "bytes": lambda other: bytes(range(other + 5)),
    "mixture": lambda other: data(other, 5, "f8") if other % 2 else [1, 2, None],
    "large objects": lambda other: [np.full(40_000, other), "text"],
}
for name, make in SEQUENCES.items():
    space.push({name: make(rank)})
    everyone = [make(other) for other in range(size)]
    whole = join(everyone)
    for root in roots:
        names.bcast(comm, name, root, "out", LIMIT)
        equal(space.pull("out"), everyone[root], ("bcast", name))
        space.push({"out": None})
        names.gather(comm, name, root, "out", LIMIT)
        equal(space.pull("out"), whole if rank == root else None, ("gather", name))
        names.scatter(comm, name, root, "out", LIMIT)
        equal(space.pull("out"), partition(everyone[root], size)[rank], ("scatter", name))
    names.allgather(comm, name, "out", LIMIT)
    equal(space.pull("out"), whole, ("allgather", name))
    names.alltoall(comm, name, "out", LIMIT)
    equal(space.pull("out"), join([partition(sequence, size)[rank] for sequence in everyone]), ("alltoall", name))
    equal(space.pull(name), make(rank), ("unchanged", name))
    names.allgather(comm, name, name, LIMIT)
    equal(space.pull(name), whole, ("in its own place", name))

UFUNCS = {"sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum, "bor": np.bitwise_or}
OPERANDS: dict[str, tuple[Any, list[str]]] = {
    "floats": (lambda other: data(other, 9, "f8"), ["sum", "prod", "min", "max"]),
    "integers": (lambda other: data(other, 9, "i4").reshape(3, 3), ["sum", "max", "bor"]),
    "no dimensions": (lambda other: np.array(other + 0.5), ["sum", "min"]),
    "none": (lambda other: np.empty((0, 3)), ["sum"]),
    "columns": (lambda other: np.asfortranarray(data(other, 12, "f4").reshape(4, 3)), ["sum", "max"]),
    "strided": (lambda other: data(other, 40, "i8")[::2], ["sum", "min"]),
    "half": (lambda other: data(other, 5, "f2"), ["sum", "max"]),
    "booleans": (lambda other: data(other, 5, "i4") > 1, ["sum", "bor", "max"]),
    "times": (lambda other: np.arange(other, other + 4).astype("m8[s]"), ["sum", "min"]),
    "swapped": (lambda other: data(other, 5, ">f8"), ["sum"]),
    "other types": (lambda other: data(other, 4, ("f8", "i4")[other % 2]), ["sum", "max"]),
    "objects in an array": (lambda other: np.array([Fraction(other, 3), 1], object), ["sum"]),
    "array and number": (lambda other: data(other, 4, "f8") if other == 0 else 2.0, ["sum", "max"]),
}
for name, (make, ops) in OPERANDS.items():
    space.push({name: make(rank)})
    for op in ops:
        running = [make(0)]
        for other in range(1, size):
            running.append(UFUNCS[op](running[-1], make(other)))

        def check(found: Any, wanted: Any, what: object) -> None:
            """Equal in shape and elements; byte order is MPI's or numpy's choice."""
            found, wanted = np.asarray(found), np.asarray(wanted)
            assert found.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("="), (what, found.dtype, wanted.dtype)
            assert found.shape == wanted.shape, (what, found, wanted)
            assert np.array_equal(found, wanted), (what, found, wanted)

        names.allreduce(comm, name, op, "out", LIMIT)
        check(space.pull("out"), running[-1], ("allreduce", name, op))
        names.scan(comm, name, op, "out", LIMIT)
        check(space.pull("out"), running[rank], ("scan", name, op))
        for root in roots:
            space.push({"out": None})
            names.reduce(comm, name, op, root, "out", LIMIT)
            check(space.pull("out"), running[-1] if rank == root else None, ("reduce", name, op))

for value, op, wanted in [
    (rank + 1, "sum", sum(range(size + 1))),
    (Fraction(1, rank + 1), "max", Fraction(1)),
    ((rank % 2, rank), "maxloc", (1, 1) if size > 1 else (0, 0)),
    ([rank], "sum", list(range(size))),
    (str(rank), lambda left, right: left + right, "".join(map(str, range(size)))),
    (np.full(3, rank), lambda left, right: left * 10 + right, np.full(3, int("".join(map(str, range(size)))))),
]:
    space.push({"x": value})
    names.allreduce(comm, "x", op, "x", LIMIT)
    equal(space.pull("x"), wanted, op)

# What one rank cannot do, all refuse, and go on together.
wrong = size - 1
place = f"rank {wrong} (engine {10 + wrong})"
if rank != wrong:
    space.push({"missing": [1]})
for function, arguments in [
    (names.gather, (0, "out", LIMIT)),
    (names.allgather, ("out", LIMIT)),
    (names.alltoall, ("out", LIMIT)),
    (names.allreduce, ("sum", "out", LIMIT)),
    (names.reduce, ("sum", 0, "out", LIMIT)),
    (names.scan, ("sum", "out", LIMIT)),
    (names.bcast, (wrong, "out", LIMIT)),
    (names.scatter, (wrong, "out", LIMIT)),
]:
    all_refuse(KeyError, f"{place}: name 'missing' is not defined", function, "missing", *arguments)
space.push({"lock": (x for x in ()) if rank == wrong else 1, "number": 5})
all_refuse(TypeError, f"{place}: cannot serialize a value of type", names.allgather, "lock", "out", LIMIT)
all_refuse(TypeError, f"{place}: a sequence is needed", names.scatter, "number", wrong, "out", LIMIT)
if size > 1:
    space.push({"shapes": np.zeros((3, 1 + (rank == wrong)))})
    both = f"rank 0 (engine 10) has (3, 1) and {place} has (3, 2)"
    all_refuse(ValueError, both, names.allreduce, "shapes", "sum", "out", LIMIT)
    all_refuse(ValueError, both, names.gather, "shapes", 0, "out", LIMIT)
    part = f"{place} has ({3 // size + (3 % size > 0)}, 2)"
    all_refuse(ValueError, part, names.alltoall, "shapes", "out", LIMIT)

# What a client has.
pushed = {"numbers": np.arange(20_000.0), "few": [1, 2], "text": "a"}
if rank == 0:
    carry.keep("key", namespace_frames(pushed))
carry.spread(comm, "key", LIMIT)
equal(space.pull("numbers"), pushed["numbers"], "spread")
assert space.pull(("few", "text")) == [[1, 2], "a"]
parts = partition(np.arange(30_001), size)
if rank == 0:
    carry.keep("key", [namespace_frames({"part": part}) for part in parts])
carry.deal(comm, "key", LIMIT)
equal(space.pull("part"), parts[rank], "deal")
collected = carry.collect(comm, "part", LIMIT)
assert (collected is None) == (rank > 0)
if collected is not None:
    same(join([loads([part.raw() for part in frames]) for frames in collected]), np.arange(30_001), "collect")
all_refuse(ValueError, "rank 0 (engine 10): the data of this call have not come", carry.spread, "key", LIMIT)
all_refuse(ValueError, "rank 0 (engine 10): the data of this call have not come", carry.deal, "key", LIMIT)
all_refuse(KeyError, f"{place}: name 'missing'", carry.collect, "missing", LIMIT)
carry.keep("key", [])
carry.drop("key")
carry.drop("key")
assert not carry._kept

names.barrier(comm, LIMIT)
done()
