# Shared by the scripts of this folder, which source it. Not a script of its own.
# shellcheck shell=bash

say() { printf '%s\n' "setup: $*" >&2; }

# fail MESSAGE [HINT]: ends the script.
fail() {
    printf '%s\n' "error: $1" >&2
    [ $# -lt 2 ] || printf '%s\n' "hint: $2" >&2
    exit 1
}

# find_python: prints the first Python >= 3.11 that runs; returns 1 if there is none, 2 if $PYTHON is set and is
# not one. A candidate is run
# rather than looked up: pyenv puts a shim on PATH for versions that are not active.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            "$candidate" -c 'import os, sys; print(os.path.realpath(sys.executable))'
            return
        elif [ "$candidate" = "${PYTHON:-}" ]; then
            say "PYTHON=$PYTHON is not a Python >= 3.11"
            return 2
        fi
    done
    return 1
}

# as_root COMMAND...: runs it as root when that needs no password, else returns 1.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# install_quietly PACKAGE...: returns non-zero when they are not installed afterwards.
install_quietly() {
    command -v apt-get >/dev/null || return 1
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends)
    # The package lists of a fresh machine are absent or stale: they are fetched when they turn out to be.
    as_root "${install[@]}" "$@" >/dev/null 2>&1 ||
        { as_root apt-get update --quiet=2 >&2 && as_root "${install[@]}" "$@" >&2; }
}

# install_packages PACKAGE...: installs them, or says how and ends the script.
install_packages() {
    say "installing $*"
    install_quietly "$@" || fail "these packages are missing and could not be installed from here: $*" \
        "run this line, then start again: sudo apt-get install --yes $*"
}
