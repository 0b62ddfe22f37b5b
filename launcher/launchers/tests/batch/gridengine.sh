#!/bin/bash
# Grid Engine in a root that is thrown away: an overlay of this one, in namespaces of its own, in which Debian's
# packages are installed and the daemons run. Nothing outside is touched, and all of it ends with this script.
#
# usage: gridengine.sh FOLDER PROGRAM ARGUMENTS…   runs the program there as a user for whom the queue works
set -eu
folder=$1
shift
# The program may be on a file system that the overlay does not show.
cp "$1" "$folder/program"
shift
export folder

inside='
set -eu
hostname sgehost
printf "192.0.2.2 sgehost\n127.0.0.1 localhost\n" > /etc/hosts
for package in common client; do
  echo "gridengine-$package shared/gridenginemaster string sgehost"
  echo "gridengine-$package shared/gridenginecell string default"
  echo "gridengine-$package shared/gridengineconfig boolean true"
done | debconf-set-selections
install_it() { apt-get install -y --no-install-recommends gridengine-master gridengine-exec gridengine-client; }
install_it > "$folder/apt.log" 2>&1 || { apt-get update && install_it; } > "$folder/apt.log" 2>&1 ||
  { cat "$folder/apt.log" >&2; exit 1; }
export SGE_ROOT=/var/lib/gridengine SGE_CELL=default
mkdir -p /run/gridengine
chown sgeadmin:sgeadmin /run/gridengine
spool=/var/spool/gridengine/spooldb
[ -e $spool/sge ] || su -s /bin/sh sgeadmin -c \
  "/usr/share/gridengine/scripts/init_cluster $SGE_ROOT default $spool sgeadmin" > "$folder/init.log" 2>&1
echo sgehost > $SGE_ROOT/default/common/act_qmaster
wait_for() { for _ in $(seq 600); do "$@" > /dev/null 2>&1 && return; sleep 0.1; done; echo "never: $*" >&2; exit 1; }
/usr/sbin/sge_qmaster
wait_for qconf -sss
as_admin() { su -s /bin/sh sgeadmin -c "SGE_ROOT=$SGE_ROOT $*"; }
# Some of this may have been done by the packages.
as_admin qconf -am root || true
qconf -as sgehost || true
qconf -ah sgehost || true
# Looks for work every second, and tells at once how jobs ended.
qconf -ssconf | sed "s/^schedule_interval.*/schedule_interval 0:0:1/; s/^flush_submit_sec.*/flush_submit_sec 1/
  s/^flush_finish_sec.*/flush_finish_sec 1/" > /tmp/scheduler
qconf -Msconf /tmp/scheduler
mkdir /tmp/conf
qconf -sconf | sed "1d; s/flush_time=00:00:15/flush_time=00:00:01/" > /tmp/conf/global
qconf -Mconf /tmp/conf/global
printf "group_name @allhosts\nhostlist sgehost\n" > /tmp/hosts
qconf -Ahgrp /tmp/hosts || qconf -Mhgrp /tmp/hosts
cat > /tmp/pe <<PE
pe_name smp
slots 99
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule \$pe_slots
control_slaves TRUE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
PE
qconf -Ap /tmp/pe || qconf -Mp /tmp/pe
qconf -sq | sed "s/^qname .*/qname main.q/; s/^hostlist .*/hostlist @allhosts/; s/^pe_list .*/pe_list smp/
  s/^slots .*/slots 4/; s/^load_thresholds .*/load_thresholds NONE/" > /tmp/queue
qconf -Aq /tmp/queue
/usr/sbin/sge_execd
wait_for sh -c "qhost | grep -q \"^sgehost .*lx-amd64 .* [0-9.]*[GM] \""
useradd --create-home tester
install -m 755 "$folder/program" /home/tester/program
cd /home/tester
status=0
setpriv --reuid tester --regid tester --init-groups env HOME=/home/tester USER=tester "$0" "$@" || status=$?
qconf -kej > /dev/null 2>&1 || true
qconf -km > /dev/null 2>&1 || true
exit $status
'
export inside
exec unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc bash -c '
set -eu
mount --make-rprivate /
mkdir -p "$folder/root"
mount -t tmpfs -o size=3g tmpfs "$folder/root"
mkdir "$folder"/root/{upper,work,merged}
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/root/upper,workdir=$folder/root/work" "$folder/root/merged"
root=$folder/root/merged
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root$folder"
mount --bind "$folder" "$root$folder"
exec chroot "$root" env HOME=/root DEBIAN_FRONTEND=noninteractive bash -c "$inside" /home/tester/program "$@"
' gridengine "$@"
