"""Programs in jobs of Slurm: `ipclusterz run` inside an allocation, and the scripts of `scripts/slurm`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import sites
import slurm
import user
from helpers import until
from hosts import VirtualHosts
from sites import Site

pytestmark = pytest.mark.timeout(120)


# -- inside an allocation ---------------------------------------------------------------------------------------

ANALYSIS = """
import socket, sys
import ipclusterz as ipz

rc = ipz.Client()
hosts = rc[:].apply_sync(socket.gethostname)
print(len(rc.ids), *sorted(set(hosts.values())))
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 7])
def test_run_ends_with_its_programs_code(site: Site, hosts: VirtualHosts, code: int) -> None:
    hosts.write(0, hosts.home / "analysis.py", ANALYSIS)
    profile = site.write_profile("[batch]\nengines_per_node = 4\n")
    run = f"ipclusterz run -n 12 --profile {profile} -- {sys.executable} analysis.py {code}"
    submit = ["sbatch", "--parsable", "--wait", "-N3", "--ntasks-per-node=4", "--output=run.out", f"--wrap={run}"]
    done = site.run(*submit)
    said = hosts.read(0, hosts.home / "run.out")
    assert done.returncode == code, said
    assert "12 n1 n2 n3" in said


PLACES = """
import socket
import ipclusterz as ipz

rc = ipz.Client()
print("engines:", *[host for _, host in sorted(rc[:].apply_sync(socket.gethostname).items())])
if "MPI4PY_MPIABI" in rc[0].apply_sync(lambda: dict(__import__("os").environ)):
    print("ranks:", rc[:].apply_sync(lambda: __import__("mpi4py.MPI").MPI.COMM_WORLD.Get_rank()))
"""


def run_in(
    site: Site, allocation: list[str], *options: str, before: str = "", extends: str = "slurm", more: str = ""
) -> tuple[int, str]:
    """`ipclusterz run` in an allocation that salloc gives: its status, and what was said."""
    hosts = site.hosts
    hosts.write(0, hosts.home / "places.py", PLACES)
    profile = hosts.home / "inside.toml"
    engines = f'[engines]\npython = "{sys.executable}"\ntimeout = 40\n'
    hosts.write(0, profile, f'extends = "{extends}"\n{engines}{more}')
    run = f"{before} ipclusterz run {' '.join(options)} --profile {profile} -- {sys.executable} places.py"
    done = site.run("salloc", *allocation, "bash", "-c", run)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("allocation", "options", "engines"),
    [
        ("--ntasks=2 --nodelist=n1 : --ntasks=3 --nodelist=n2", "", "n1 n1 n2 n2 n2"),
        ("--ntasks=2 --nodelist=n1 : --ntasks=3 --nodelist=n2", "-n 4", "n1 n1 n2 n2"),
        ("--ntasks=2 --nodelist=n1 : --ntasks=3 --nodelist=n2", "-n 2", "n1 n1"),
        ("--ntasks=1 --nodelist=n3 : --ntasks=1 --nodelist=n1 : --ntasks=2 --nodelist=n2", "", "n3 n1 n2 n2"),
        ("--ntasks=3 --nodelist=n2", "", "n2 n2 n2"),
        ("--nodes=2 --ntasks-per-node=2 --nodelist=n[1-2]", "", "n1 n1 n2 n2"),
        ("--nodes=2 --nodelist=n[1-2]", "-n 2", "n1 n2"),
    ],
)
def test_run_takes_the_tasks_of_its_allocation(site: Site, allocation: str, options: str, engines: str) -> None:
    status, said = run_in(site, allocation.split(), *options.split())
    assert status == 0, said
    assert f"engines: {engines}\n" in said


def test_the_components_of_an_allocation_are_one_world(site: Site, hosts: VirtualHosts) -> None:
    # Slurm's PMIx takes their nodes by their names.
    components = ["--ntasks=1", "--nodelist=n1", ":", "--ntasks=2", "--nodelist=n2"]
    more = sites.mpi4py_environment(hosts, "openmpi")
    status, said = run_in(site, components, extends="slurm-mpi", more=more)
    assert status == 0, said
    assert "engines: n1 n2 n2\nranks: {0: 0, 1: 1, 2: 2}\n" in said


def test_run_in_a_step_takes_its_tasks(site: Site) -> None:
    status, said = run_in(site, ["--ntasks=3"], before="srun --ntasks=1")
    assert status == 0, said
    assert re.search(r"engines: \w+\n", said), said


def test_an_allocation_without_a_number_of_tasks_is_refused(site: Site) -> None:
    status, said = run_in(site, ["--nodes=2"])
    assert status == 2, said
    assert re.search(
        r"error: engines.count: job \d+ \(SLURM_JOB_ID\) does not say how many tasks it has: SLURM_NTASKS", said
    )
    assert "hint: give a number, such as `-n 4`" in said
    status, said = run_in(site, ["--nodes=1", ":", "--ntasks=3"])
    assert status == 2, said
    assert "SLURM_NTASKS_HET_GROUP_0 is not set" in said


def test_run_stops_its_engines_when_it_is_cancelled(site: Site, hosts: VirtualHosts) -> None:
    profile = site.write_profile("[batch]\nengines_per_node = 4\n")
    run = f"ipclusterz run -n 12 --profile {profile} -- sleep 65"
    submit = ["sbatch", "--parsable", "-N3", "--ntasks-per-node=4", "--output=run.out", f"--wrap={run}"]
    job = site.run(*submit).stdout.strip()
    until(lambda: any("sleep 65" in line for line in hosts.processes(1).values()), 40)
    hosts.exec(0, "scancel", job)
    until(lambda: not any(hosts.processes(index) for index in (1, 2, 3)), 20)


# -- scripts/slurm ----------------------------------------------------------------------------------------------

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts/slurm"

REPORT = """
import json, os, socket
import ipclusterz as ipz

names = ["CUDA_VISIBLE_DEVICES", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"]
rc = ipz.Client()
seen = rc[:].apply_sync(lambda names: [socket.gethostname()] + [os.environ.get(name) for name in names], names)
report = {"engines": list(seen.values()), "task": os.environ.get("SLURM_ARRAY_TASK_ID")}
with open(f"report-{report['task'] or 0}.json", "w") as file:
    json.dump(report, file)
"""


def submitted(site: Site, script: str, **variables: str) -> list[dict[str, list[list[str | None]]]]:
    """Submit one of the ready scripts as it is, wait for its end, and return what its program saw."""
    hosts = site.hosts
    hosts.write(0, hosts.home / "analysis.py", REPORT)
    for old in hosts.home.glob("report-*.json"):
        old.unlink()
    done = site.run("sbatch", "--parsable", "--wait", SCRIPTS / script, env=variables)
    outputs = "\n".join(file.read_text() for file in hosts.home.glob("ipclusterz*.out"))
    assert done.returncode == 0, done.stderr + outputs
    return [json.loads(file.read_text()) for file in sorted(hosts.home.glob("report-*.json"))]


def test_script_for_one_node(site: Site) -> None:
    (report,) = submitted(site, "single-node.sbatch")
    assert len(report["engines"]) == 4
    assert len({host for host, *_ in report["engines"]}) == 1


def test_script_for_several_nodes(site: Site) -> None:
    (report,) = submitted(site, "multi-node.sbatch")
    assert len(report["engines"]) == 8
    assert len({host for host, *_ in report["engines"]}) == 2


def test_script_for_mpi(site: Site) -> None:
    (report,) = submitted(site, "mpi.sbatch")
    assert [rank for *_, rank in report["engines"]] == [str(rank) for rank in range(8)]


@pytest.mark.parametrize("flavour", ["openmpi", "mpich"])
def test_a_program_of_the_script_for_mpi(site: Site, hosts: VirtualHosts, flavour: str) -> None:
    # What a site puts into a user's profile: a library, and what srun speaks with it.
    mpi = {"openmpi": "pmix", "mpich": "pmi2"}[flavour]
    start = f'start = ["srun", "--mpi={mpi}", "--ntasks={{count}}", "--kill-on-bad-exit=0", "--overlap"]'
    environment = sites.mpi4py_environment(hosts, flavour)
    environment += f'PYTHONPATH = "{SCRIPTS.parents[1] / "target/mpi-bridge/wheel"}"\n'
    # Nothing that srun starts tells which of the libraries of this host is meant.
    environment += f'IPCLUSTERZ_MPI = "{flavour}"\n'
    profile = hosts.home / "my-mpi.toml"
    hosts.write(0, profile, f'extends = "slurm-mpi"\n[queue]\n{start}\n{environment}')
    program = f"{sys.executable} {SCRIPTS / 'mpi_analysis.py'} 100003"
    for old in hosts.home.glob("ipclusterz-mpi-*.out"):
        old.unlink()
    script = SCRIPTS / "mpi.sbatch"
    done = site.run("sbatch", "--parsable", "--wait", script, env={"PROGRAM": program, "PROFILE": str(profile)})
    (output,) = (file.read_text() for file in hosts.home.glob("ipclusterz-mpi-*.out"))
    assert done.returncode == 0, done.stderr + output
    assert "8 ranks, 100003 numbers, mean 0.000000, deviation 1.000000\n" in output
    assert re.search(r"^largest (\S+), and to every rank \1$", output, re.MULTILINE), output


def test_script_for_gpus(site: Site) -> None:
    (report,) = submitted(site, "gpu.sbatch")
    assert len({host for host, *_ in report["engines"]}) == 2
    seen = [(host, devices) for host, devices, *_ in report["engines"]]
    assert len(set(seen)) == 4, "each engine has a GPU of its own"
    assert {devices for _, devices in seen} == {"0", "1"}


def test_script_for_an_array(site: Site) -> None:
    reports = submitted(site, "array.sbatch")
    assert [report["task"] for report in reports] == ["0", "1", "2"]
    assert [len(report["engines"]) for report in reports] == [2, 2, 2]


def test_script_for_a_cluster_to_attach_to(site: Site, hosts: VirtualHosts) -> None:
    job = site.run("sbatch", "--parsable", SCRIPTS / "long-lived-controller.sbatch").stdout.strip()
    site.cluster = f"job-{job}"
    site.ipclusterz("wait", "-n", "8", "--timeout", "60")
    for _ in range(2):
        # Attached, gone, and back again.
        with site.prompt() as prompt:
            assert prompt.do(user.answers) == dict.fromkeys(range(8), 42)
    hosts.exec(0, "scancel", "--batch", "--signal=TERM", job)
    until(lambda: slurm.job_states(hosts, job) == {"COMPLETED"}, 20, lambda: str(slurm.jobs(hosts)))
