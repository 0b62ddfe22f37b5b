# shellcheck shell=bash
# Sourced by what builds wheels: C, C++ and the linker are zig's, which has the symbols of each glibc in it. What is built
# runs with GLIBC and later ones. zig links its C++ library in.
#
# usage: . scripts/dist/zig.sh VENV, where zig and cargo-zigbuild are installed; makes folders in CARGO_TARGET_DIR.

# The oldest glibc that Rust's own library asks for.
GLIBC=2.17
TARGET=x86_64-unknown-linux-gnu

[ "$(rustc -vV | sed -n 's/^host: //p')" = "$TARGET" ] || fail "wheels are built on $TARGET alone"

# _wrapper FILE COMMAND ARGUMENT...: a program for one of zig's commands. What rustc says to GNU's linker and zig does not
# know, cargo-zigbuild leaves out; to compile a file zig is called at once, because there are a thousand. zig would leave out
# the names of functions together with what debuggers need.
_wrapper() {
    local file=$_folder/$1 command=$2
    shift 2
    cat >"$file.new" <<END
#!/bin/sh
set -e
case " \$* " in
*" -c "*)
    for argument do
        shift
        case \$argument in --target=*) ;; *) set -- "\$@" "\$argument" ;; esac
    done
    exec "$CARGO_ZIGBUILD_ZIG_PATH" $command $* "\$@" ;;
esac
output= before= strip=true
for argument do
    shift
    [ "\$before" != -o ] || output=\$argument
    before=\$argument
    case \$argument in -Wl,--strip-debug) strip="strip --strip-debug" ;; *) set -- "\$@" "\$argument" ;; esac
done
"$_cargo_zigbuild" zig $command -- $* "\$@"
\$strip "\$output"
END
    chmod 755 "$file.new"
    # Unchanged it keeps its date, and cargo builds nothing anew.
    if cmp --silent "$file.new" "$file"; then rm "$file.new"; else mv "$file.new" "$file"; fi
}

_cargo_zigbuild=$(realpath --no-symlinks "$1/bin/cargo-zigbuild")
_folder=$CARGO_TARGET_DIR/zig
mkdir -p "$_folder"
CARGO_ZIGBUILD_ZIG_PATH=$("$1/bin/python" -c 'import ziglang; print(ziglang.__path__[0] + "/zig")')
export CARGO_ZIGBUILD_ZIG_PATH
_wrapper cc cc -fno-sanitize=all -target "x86_64-linux-gnu.$GLIBC"
_wrapper c++ c++ -fno-sanitize=all -target "x86_64-linux-gnu.$GLIBC"
_wrapper ar ar
_wrapper ranlib ranlib
export CC_x86_64_unknown_linux_gnu=$_folder/cc CXX_x86_64_unknown_linux_gnu=$_folder/c++
export AR_x86_64_unknown_linux_gnu=$_folder/ar RANLIB_x86_64_unknown_linux_gnu=$_folder/ranlib
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=$_folder/cc
# libzmq's build script names the C++ library; zig has this one.
export CXXSTDLIB_x86_64_unknown_linux_gnu=c++
unset _cargo_zigbuild _folder
unset -f _wrapper
