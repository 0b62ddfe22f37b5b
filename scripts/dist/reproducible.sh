# shellcheck shell=bash
# Sourced by what builds for release, after TARGET and RUSTFLAGS are set as they are to be: has cargo and its compilers leave
# out where, when and by whom they run. What is left to do for a wheel does packing.py of runtime/py/build_backend.

_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
_cargo=${CARGO_HOME:-$HOME/.cargo}
_target=${CARGO_TARGET_DIR:-$_root/target}
_sysroot=$(cd "$_root" && rustc --print sysroot)

# RUSTFLAGS are words between spaces.
for _folder in "$_root" "$_cargo" "$_target" "$_sysroot"; do
    if [[ $_folder =~ [[:space:]] ]]; then
        echo "error: $_folder: a reproducible build is not possible in a folder with a space in its name" >&2
        echo "hint: build in another one, with CARGO_HOME and CARGO_TARGET_DIR as well" >&2
        return 1 2>/dev/null || exit 1
    fi
done

# The last that fits counts: the target folder may be in the root.
export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$_root=/ipclusterz --remap-path-prefix=$_cargo/registry/src=/crates \
--remap-path-prefix=$_sysroot=/rust --remap-path-prefix=$_target=/target"
# The time that archives say: the commit's. Without git, as in an sdist, the earliest that a zip file can say.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$_root" log -1 --format=%ct 2>/dev/null || echo 315532800)}
export CARGO_INCREMENTAL=0 LC_ALL=C TZ=UTC ZERO_AR_DATE=1
umask 022
unset _root _cargo _target _sysroot _folder
