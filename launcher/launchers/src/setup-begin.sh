# engines.setup follows. A command of it that fails ends this shell, as with `set -e`; what fails inside of a function or
# of a file that it reads is for that function or file to say.
ipclusterz_failed() {
  trap - EXIT
  [ -z "${BASH_VERSION-}" ] || trap - ERR DEBUG
  set +eu
  ipclusterz_host=$(uname -n)
  echo "ipclusterz: engines.setup failed on $ipclusterz_host: its line $2 ended with status $1" >&2
  (umask 077; ipclusterz_tell "$ipclusterz_host $1 $2")
  [ "$1" -ne 0 ] || set -- 1
  exit "$1"
}
# Modules before version 4 return 0 whatever happens, and write ERROR.
ipclusterz_look_at_modules() {
  declare -F module >/dev/null || return 0
  ipclusterz_module=$(declare -f module)
  case $ipclusterz_module in *_mlstatus* | *LMOD*) return 0 ;; *modulecmd*) ;; *) return 0 ;; esac
  eval "ipclusterz_$ipclusterz_module"
  module() {
    ipclusterz_file=$(mktemp) || ipclusterz_file=/dev/null
    ipclusterz_module "$@" 2>"$ipclusterz_file"
    set -- "$?"
    cat "$ipclusterz_file" >&2
    ! grep -q ':ERROR:' "$ipclusterz_file" || set -- 1
    [ "$ipclusterz_file" = /dev/null ] || rm -f "$ipclusterz_file"
    return "$1"
  }
}
ipclusterz_step() {
  [ "$1" -le "$ipclusterz_first" ] || ipclusterz_at=$(($1 - ipclusterz_first))
  [ -n "${ipclusterz_module-}" ] || ipclusterz_look_at_modules
}
ipclusterz_at='?'
ipclusterz_first=0
trap 'ipclusterz_failed "$?" "$ipclusterz_at"' EXIT
if [ -z "${BASH_VERSION-}" ]; then
  set -e
else
  eval 'ipclusterz_depth=${#BASH_SOURCE[@]}'
  # On one line: what the shell takes for its line in here counts on from that of the command that failed.
  trap 'ipclusterz_status=$?; [ "${#BASH_SOURCE[@]}" -gt "$ipclusterz_depth" ] || ipclusterz_failed "$ipclusterz_status" "$ipclusterz_at"' ERR
  ipclusterz_first=$((LINENO + 1))
  trap 'ipclusterz_step "$LINENO"' DEBUG; fi
