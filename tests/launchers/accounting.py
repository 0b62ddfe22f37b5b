"""Accounts, qualities of service and the record of jobs, for a Slurm on virtual hosts: slurmdbd and its database.

`scripts/testbed/accounting-init` starts them on the head. The database listens on a socket of the head's own /run, and
lets root in for being root: there is no password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hosts import VirtualHosts

_DATABASE = """\
AuthType=auth/munge
AuthInfo=socket=/run/munge/munge.sock
DbdHost=head
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
LogFile={folder}/log/slurmdbd
PidFile=/run/slurmdbd.pid
"""

_STORAGE = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=head
AccountingStoragePass=/run/munge/munge.sock
AccountingStorageEnforce=associations,limits,qos"""

# The account `root`, and root in it, are there from the start. `urgent` is not for root, and `short` is a minute long.
_ENTITIES = """\
add cluster testbed
add qos urgent
add qos short set MaxWall=1
add account physics,chemistry
add user root account=physics,chemistry qos=normal,short
"""

_PARTITIONS = "PartitionName=chemists Nodes=ALL AllowAccounts=chemistry MaxTime=INFINITE State=UP\n"


def write_files(hosts: VirtualHosts) -> dict[str, object]:
    """Write what slurmdbd reads; return what `slurm.conf` says of it."""
    etc = hosts.folder / "etc"
    (etc / "slurmdbd.conf").touch(mode=0o600)
    (etc / "slurmdbd.conf").write_text(_DATABASE.format(folder=hosts.folder))
    (etc / "entities").write_text(_ENTITIES)
    return {"accounting": _STORAGE, "partitions": _PARTITIONS}
