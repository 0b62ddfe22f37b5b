"""The place of an engine on its host: which cores and GPUs it gets, in made-up hosts, and what it is told."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipclusterz.engine import gpus, place, topology
from ipclusterz.engine.options import Options, read
from ipclusterz.engine.place import size_of
from ipclusterz.shared.ranks import local_rank

# The folders of a host take their time.
calmly = settings(deadline=None, max_examples=30)

# -- hosts --------------------------------------------------------------------------------------------------------


@dataclass
class Host:
    """Sockets of NUMA nodes of cores of CPUs, by their numbers."""

    sockets: list[list[list[list[int]]]]

    @property
    def nodes(self) -> list[list[list[int]]]:
        return list(itertools.chain.from_iterable(self.sockets))

    @property
    def cores(self) -> list[list[int]]:
        return list(itertools.chain.from_iterable(self.nodes))

    @property
    def cpus(self) -> list[int]:
        return list(itertools.chain.from_iterable(self.cores))

    def write(self, system: Path) -> None:
        """As /sys/devices/system."""
        for socket in self.sockets:
            for core in itertools.chain.from_iterable(socket):
                for cpu in core:
                    folder = system / f"cpu/cpu{cpu}/topology"
                    folder.mkdir(parents=True)
                    (folder / "core_cpus_list").write_text(topology.ranges(core) + "\n")
                    cpus = [other for node in socket for core in node for other in core]
                    (folder / "package_cpus_list").write_text(topology.ranges(cpus) + "\n")
        for number, node in enumerate(self.nodes):
            folder = system / f"node/node{number}"
            folder.mkdir(parents=True)
            (folder / "cpulist").write_text(topology.ranges(itertools.chain.from_iterable(node)) + "\n")


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """Alike sockets, numbered as machines are: core by core, or one hardware thread of all cores and then the next."""
    sockets, nodes, cores, threads = (draw(st.integers(1, most)) for most in (3, 3, 4, 3))
    total = sockets * nodes * cores
    adjacent = draw(st.booleans())
    across = draw(st.booleans())

    def number(socket: int, node: int, core: int, thread: int) -> int:
        # Some count the cores of the sockets in turn.
        place = (node * cores + core) * sockets + socket if across else (socket * nodes + node) * cores + core
        return place * threads + thread if adjacent else place + thread * total

    return Host(
        [
            [[[number(s, n, c, t) for t in range(threads)] for c in range(cores)] for n in range(nodes)]
            for s in range(sockets)
        ]
    )


def cores_of(host: Host, allowed: set[int]) -> list[topology.Core]:
    with TemporaryDirectory() as folder:
        host.write(Path(folder))
        return topology.read(allowed, Path(folder))


@st.composite
def hosts_in_part(draw: st.DrawFn) -> tuple[Host, set[int]]:
    """A host, and those of its CPUs that may be used."""
    host = draw(hosts())
    return host, draw(st.sets(st.sampled_from(host.cpus), min_size=1) | st.just(set(host.cpus)))


@calmly
@given(hosts_in_part())
def test_cores_are_in_the_order_of_hwloc(host_and_allowed: tuple[Host, set[int]]) -> None:
    host, allowed = host_and_allowed
    # Sockets, nodes and cores by the lowest CPU in each; made-up hosts are written down in that order.
    wanted = [tuple(sorted(allowed.intersection(core))) for core in host.cores]
    assert [cpus for *_, cpus in cores_of(host, allowed)] == [core for core in wanted if core]


@calmly
@given(hosts_in_part(), st.integers(1, 40))
def test_blocks_are_disjoint_while_there_are_enough_and_else_evenly_shared(
    host_and_allowed: tuple[Host, set[int]], engines: int
) -> None:
    host, allowed = host_and_allowed
    cores = cores_of(host, allowed)
    blocks = [topology.block(cores, index, engines) for index in range(engines)]
    used = Counter(itertools.chain.from_iterable(cpus for cpus, _ in blocks))
    assert all(cpus and allowed.issuperset(cpus) for cpus, _ in blocks)
    assert set(used) <= allowed
    parts = [set(cpus) for *_, cpus in cores]
    if engines <= len(allowed):
        assert set(used.values()) == {1}
        assert set(used) == allowed
        assert {sharing for _, sharing in blocks} == {1}
    else:
        # Every core has as many engines as any other, or one more, and each engine knows how many these are.
        of_core = Counter(tuple(cpus) for cpus, _ in blocks)
        assert max(of_core.values()) - min(of_core.values()) <= 1
        assert len(of_core) == len(cores)
        assert all(of_core[tuple(cpus)] == sharing for cpus, sharing in blocks)
    if engines <= len(cores):
        # Cores stay whole, and blocks are as large as any other, or by one core larger.
        sizes = [sum(part <= set(cpus) for part in parts) for cpus, _ in blocks]
        assert sum(sizes) == len(parts)
        assert max(sizes) - min(sizes) <= 1
    order = [cpu for *_, cpus in cores for cpu in cpus]
    begins = [order.index(cpus[0]) for cpus, _ in blocks]
    assert begins == sorted(begins)


@calmly
@given(hosts(), st.integers(1, 40))
def test_engines_are_dealt_out_over_numa_nodes(host: Host, engines: int) -> None:
    cores = cores_of(host, set(host.cpus))
    given = [topology.node(cores, index, engines) for index in range(engines)]
    nodes = [{cpu for core in node for cpu in core} for node in host.nodes]
    for cpus, _, number in given:
        assert set(cpus) == nodes[number]
    engines_of = Counter(number for *_, number in given)
    counts = [engines_of[number] for number in range(len(nodes))]
    assert max(counts) - min(counts) <= 1
    assert all(engines_of[number] == sharing for _, sharing, number in given)
    numbers = [number for *_, number in given]
    assert numbers == sorted(numbers)


@calmly
@given(hosts_in_part(), st.integers(1, 40))
def test_engines_on_a_node_have_what_is_allowed_of_it(host_and_allowed: tuple[Host, set[int]], engines: int) -> None:
    host, allowed = host_and_allowed
    nodes = [allowed.intersection(itertools.chain.from_iterable(node)) for node in host.nodes]
    cores = cores_of(host, allowed)
    given = [topology.node(cores, index, engines) for index in range(engines)]
    assert all(cpus and set(cpus) == nodes[number] for cpus, _, number in given)
    if engines >= len(cores):
        # No node is left out.
        assert {number for *_, number in given} == {number for number, node in enumerate(nodes) if node}


def test_a_host_that_tells_nothing_has_cores_of_one_cpu(tmp_path: Path) -> None:
    cores = topology.read({3, 1}, tmp_path)
    assert cores == [(0, 0, 1, -1, (1,)), (0, 0, 3, -1, (3,))]
    assert topology.node(cores, 1, 2) == ([1, 3], 2, -1)


def test_older_kernels_have_other_names(tmp_path: Path) -> None:
    for cpu in range(4):
        folder = tmp_path / f"cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 2},{cpu % 2 + 2}\n")
        (folder / "core_siblings_list").write_text("0-3\n")
    assert [cpus for *_, cpus in topology.read(range(4), tmp_path)] == [(0, 2), (1, 3)]


@calmly
@given(st.sets(st.integers(0, 300)))
def test_lists_are_read_as_they_are_written(cpus: set[int]) -> None:
    assert topology.numbers(topology.ranges(cpus)) == sorted(cpus)


# -- GPUs ---------------------------------------------------------------------------------------------------------


@calmly
@given(st.integers(1, 20), st.integers(1, 20))
def test_each_engine_has_gpus_of_its_own_or_shares_evenly(count: int, engines: int) -> None:
    ids = [str(number) for number in range(count)]
    dealt = [gpus.deal(ids, index, engines) for index in range(engines)]
    used = Counter(gpu for own, _ in dealt for gpu in own)
    assert set(used) == set(ids)
    if engines <= count:
        assert [gpu for own, _ in dealt for gpu in own] == ids
        assert max(len(own) for own, _ in dealt) - min(len(own) for own, _ in dealt) <= 1
    else:
        assert [own for own, _ in dealt] == [[ids[index % count]] for index in range(engines)]
    assert all(sharing == max(used[gpu] for gpu in own) for own, sharing in dealt)


def chosen(
    variables: dict[str, str], root: Path, wanted: str = "auto", index: int = 0, engines: int = 2
) -> tuple[dict[str, str], str]:
    environment = dict(variables)
    said = gpus.choose(wanted, environment, index, engines, root)
    return environment, said


@pytest.fixture
def nvidia(tmp_path: Path) -> Path:
    """A host with four GPUs of NVIDIA's."""
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev" / name).touch()
    return tmp_path


@pytest.fixture
def amd(tmp_path: Path) -> Path:
    """A host with two GPUs of AMD's, and a processor."""
    for node, number in enumerate(("0", "51230", "7782")):
        folder = tmp_path / f"sys/class/kfd/kfd/topology/nodes/{node}"
        folder.mkdir(parents=True)
        (folder / "gpu_id").write_text(number + "\n")
    return tmp_path


def test_a_host_without_gpus_says_so(tmp_path: Path) -> None:
    assert chosen({}, tmp_path) == ({}, "no GPU")
    assert chosen({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == ({"CUDA_VISIBLE_DEVICES": ""}, "no GPU")
    nothing = {"CUDA_VISIBLE_DEVICES": "NoDevFiles"}
    assert chosen(nothing, tmp_path) == (nothing, "no GPU")


def test_gpus_of_the_host_are_dealt_out(nvidia: Path) -> None:
    assert chosen({}, nvidia, index=1) == ({"CUDA_VISIBLE_DEVICES": "2,3"}, "GPUs 2,3")
    assert chosen({}, nvidia, index=4, engines=6) == (
        {"CUDA_VISIBLE_DEVICES": "0"},
        "GPU 0 (shared by 2 engines)",
    )
    assert chosen({}, nvidia, wanted="3,1", index=1) == ({"CUDA_VISIBLE_DEVICES": "1"}, "GPU 1")


def test_inherited_ids_pass_through(nvidia: Path) -> None:
    inherited = {"CUDA_VISIBLE_DEVICES": "GPU-8f1d, MIG-2c6a,3"}
    assert chosen(inherited, nvidia, index=0, engines=3)[0]["CUDA_VISIBLE_DEVICES"] == "GPU-8f1d"
    assert chosen(inherited, nvidia, index=1)[0]["CUDA_VISIBLE_DEVICES"] == "MIG-2c6a,3"
    # The driver stops at what is no GPU.
    assert chosen({"CUDA_VISIBLE_DEVICES": "1,-1,2"}, nvidia, index=1)[0]["CUDA_VISIBLE_DEVICES"] == "1"


def test_gpus_of_amd_have_another_variable(amd: Path) -> None:
    assert chosen({}, amd, index=1) == ({"ROCR_VISIBLE_DEVICES": "1"}, "GPU 1")
    assert chosen({}, amd, wanted="1", engines=1) == ({"ROCR_VISIBLE_DEVICES": "1"}, "GPU 1")
    # Slurm may set both. The second would count within what the first leaves.
    both = {"ROCR_VISIBLE_DEVICES": "4,6", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert chosen(both, amd, index=1) == ({"ROCR_VISIBLE_DEVICES": "6"}, "GPU 6")
    assert chosen({"HIP_VISIBLE_DEVICES": "1"}, amd, index=0) == (
        {"ROCR_VISIBLE_DEVICES": "1"},
        "GPU 1 (shared by 2 engines)",
    )


def test_what_slurm_has_given_a_task_is_its_own(nvidia: Path) -> None:
    step = {"SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_GPUS": "2,3"}
    own = step | {"CUDA_VISIBLE_DEVICES": "0"}
    assert chosen(own, nvidia, index=1) == (own, "GPU 0")
    # As Slurm 22.05 has it.
    per_task = own | {"SLURM_STEP_GPUS": "2", "SLURM_GPUS_ON_NODE": "2"}
    assert chosen(per_task, nvidia, index=1) == (per_task, "GPU 0")
    whole = step | {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert chosen(whole, nvidia, index=1)[0]["CUDA_VISIBLE_DEVICES"] == "1"


# -- what an engine is told ---------------------------------------------------------------------------------------


def test_sizes_are_those_of_profiles() -> None:
    assert [size_of(text) for text in ("64M", "4G", "1.5GiB", "2tb", "1KB")] == [
        64 << 20,
        4 << 30,
        3 << 29,
        2 << 40,
        1 << 10,
    ]
    for text in ("", "4", "G", "4X", "xG"):
        with pytest.raises(ValueError, match="is not a size such as 4G"):
            size_of(text)


def test_engines_of_a_parent_have_a_seat_each() -> None:
    line = "--connection-file f --engines 3 --first-engine-id 4 --bind numa --gpus auto --memory 4G"
    options = read(line.split(), {})
    told = [read(options.arguments(index, 7), {}) for index in range(3)]
    assert [(own.host_index, own.host_engines, own.engine_id) for own in told] == [(0, 3, 4), (1, 3, 5), (2, 3, 6)]
    assert {(own.bind, own.gpus, own.memory, own.confined) for own in told} == {("numa", "auto", "4G", False)}
    plain = Options()
    assert (plain.bind, plain.gpus, plain.memory, plain.host_index) == (None, None, None, 0)
    with pytest.raises(ValueError, match="--bind must be core or numa, not 'socket'"):
        read([*line.split()[:2], "--bind", "socket"], {})


def test_ranks_know_which_of_their_host_they_are() -> None:
    assert local_rank({"OMPI_COMM_WORLD_LOCAL_RANK": "3", "SLURM_LOCALID": "0"}) == 3
    assert local_rank({"MPI_LOCALRANKID": "1"}) == 1
    assert local_rank({"SLURM_LOCALID": "2", "SLURM_STEP_TASKS_PER_NODE": "4"}) == 2
    # An mpiexec that does not say it, in the script of a job.
    assert local_rank({"SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "1", "MPI_LOCALNRANKS": "4"}) is None
    assert local_rank({"SLURM_LOCALID": "0", "PMI_RANK": "1"}) is None


@pytest.mark.parametrize(("whole", "bound"), [(64, True), (1, False)])
def test_what_is_bound_already_is_left_alone(whole: int, bound: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options()
    options.bind, options.ranks = "core", 2
    set_to: list[set[int]] = []
    said: list[str] = []
    monkeypatch.setattr("os.sched_setaffinity", lambda _, cpus: set_to.append(set(cpus)))
    monkeypatch.setattr(place, "cores_of_ranks", lambda _: whole)
    monkeypatch.setattr(place, "say", said.append)
    threads = place.take_place(options, {"PMI_SIZE": "2", "MPI_LOCALNRANKS": "2", "MPI_LOCALRANKID": "1"})
    assert (threads is None, not set_to, said[0].endswith("(bound before)\n")) == (bound,) * 3
    if not bound:
        assert set_to == [set(topology.block(topology.read(os.sched_getaffinity(0)), 1, 2)[0])]


def test_a_rank_that_nobody_has_counted_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options()
    options.bind, options.ranks = "core", 2
    said: list[str] = []
    monkeypatch.setattr("os.sched_setaffinity", lambda _, __: said.append("bound"))
    monkeypatch.setattr(place, "say", said.append)
    assert place.take_place(options, {"PMI_SIZE": "2", "PMI_RANK": "1"}) is None
    assert said == ["nothing says which rank of this host this is: it has no cores or GPUs of its own\n"]
