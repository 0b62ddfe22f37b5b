trap - EXIT
[ -z "${BASH_VERSION-}" ] || trap - ERR DEBUG
set +eu
! command -v ipclusterz_module >/dev/null || eval "$ipclusterz_module"
