#!/bin/sh
# sudo by the login's rights: `sudo` runs anything without a password, `password` and `none` never, `listed` nothing but `true`;
# where there is a rule without a password, the list needs none, as sudo's does.
root=@ROOT@
ask=yes check= list=
while [ $# -gt 0 ]; do
	case $1 in
	-n | --non-interactive) ask= ;;
	-nv | -vn) ask= check=yes ;;
	-v) check=yes ;;
	-l) list=yes ;;
	-u | -g) shift ;;
	--) shift; break ;;
	-*) ;;
	*=*) export "$1" ;;
	*) break ;;
	esac
	shift
done
if [ -n "$list" ] && [ "$SIM_RIGHTS" != password ] && [ "$SIM_RIGHTS" != none ]; then
	# Of a command it says that some rule allows it, whether with a password or not.
	if [ $# -gt 0 ]; then echo "$*"; exit 0; fi
	printf 'Matching Defaults entries for %s on host:\n    env_reset, use_pty\n\n' "$SIM_USER"
	printf 'User %s may run the following commands on host:\n' "$SIM_USER"
	case $SIM_RIGHTS in
	listed) printf '    (ALL : ALL) ALL\n    (root) NOPASSWD: /usr/bin/true\n' ;;
	*) printf '    (ALL) NOPASSWD: ALL\n' ;;
	esac
	exit 0
fi
if [ "$SIM_RIGHTS" = listed ] && [ "${1##*/}" = true ]; then exit 0; fi
if [ "$SIM_UID" != 0 ] && [ "$SIM_RIGHTS" != sudo ]; then
	[ -n "$ask" ] && echo "sudo: a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper" >&2
	echo "sudo: a password is required" >&2
	exit 1
fi
[ -n "$check" ] && exit 0
SIM_UID=0 SIM_USER=root PATH=$root/usr/sbin:$root/usr/bin
export SIM_UID SIM_USER PATH
# The login's views of /etc/pve and /proc/self become root's.
plain=$root/.sim/plain/ self=$root/.sim/self/
count=$#
while [ "$count" -gt 0 ]; do
	arg=$1
	case $arg in
	"$plain"*) arg=$root/${arg#"$plain"} ;;
	"$self"*) arg=${arg#"$self"} arg=${self}0/${arg#*/} ;;
	esac
	shift
	set -- "$@" "$arg"
	count=$((count - 1))
done
command -v "${1-true}" >/dev/null || { echo "sudo: $1: command not found" >&2; exit 1; }
exec "${@:-true}"
