# Shared by the scripts of this folder that make a virtual host with a queue of its own, which source it. Not a script of
# its own.
# shellcheck shell=bash

# own_network NAME: a name, and an address that is not of the loopback, as queues want it.
own_network() {
    hostname "$1"
    ip -batch - <<END
link set lo up
link add eth0 type veth peer name peer0
addr add 192.0.2.2/24 dev eth0
link set eth0 up
link set peer0 up
END
}

# own_root LOWER FOLDER KEEP...: makes the root a layer in memory over LOWER. FOLDER is an empty folder to mount on, of
# which `upper` is the layer, if it is there already; KEEP are folders of this machine that are seen at their paths.
own_root() {
    local lower=$1 folder=$2 root=$2/root path parent
    shift 2
    mkdir -p -m 755 "$folder/upper" "$folder/work" "$root"
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    for path in "$@"; do
        mkdir -p "$root$path"
        mount --rbind "$path" "$root$path"
        # Python may live in a home that is closed to others; only in here it is open.
        parent=$path
        while parent=$(dirname "$parent") && [ "$parent" != / ]; do
            chmod a+rx "$root$parent"
        done
    done
    cd "$root"
    pivot_root . mnt
    exec <dev/null
    umount --lazy /mnt
}

# own_user NAME: the one whose jobs the queue runs, and the host's name for it.
own_user() {
    printf '192.0.2.2 %s\n127.0.0.1 localhost\n' "$(hostname)" >/etc/hosts
    useradd --create-home --shell /bin/bash "$1"
    mkdir -p /run/user /run/lock
    install --directory --mode=700 --owner="$1" "/run/user/$(id -u "$1")"
}

# wait_for COMMAND...: until it succeeds, 20 s at most; then LOGS, if that is set, are printed.
wait_for() {
    local deadline=$((SECONDS + 20))
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $deadline ]; then
            echo "not within 20 s: $*" >&2
            # A pattern.
            # shellcheck disable=SC2086
            "$@" >&2 || tail -n 20 ${LOGS:-/dev/null} >&2
            return 1
        fi
        sleep 0.05
    done
}

# reap: what process 1 does for ever.
reap() {
    echo ready
    exec >&2
    # Bash reaps what becomes its child while it waits for its own.
    while :; do
        sleep infinity &
        wait $! || true
    done
}
