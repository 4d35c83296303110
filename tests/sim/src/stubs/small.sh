#!/bin/sh
# Small programs in one file, by the name they are called with.
root=@ROOT@
case ${0##*/} in
id)
	[ "$SIM_UID" = 0 ] && name=root || name=$SIM_USER
	case ${1-} in
	-u | -g) echo "$SIM_UID" ;;
	-un | -nu | -gn | -ng) echo "$name" ;;
	*) echo "uid=$SIM_UID($name) gid=$SIM_UID($name) groups=$SIM_UID($name)" ;;
	esac ;;
whoami) [ "$SIM_UID" = 0 ] && echo root || echo "$SIM_USER" ;;
hostname)
	read -r name <"$root/etc/hostname"
	case ${1-} in -f | --fqdn) echo "$name.local" ;; *) echo "$name" ;; esac ;;
uname)
	read -r system name release machine <"$root/.sim/uname"
	case " $* " in *' -a '*) set -- -s -n -r -m ;; '  ') set -- -s ;; esac
	out=
	for flag; do
		case $flag in
		-s) word=$system ;; -n) word=$name ;; -r) word=$release ;; -m) word=$machine ;;
		-sr) word="$system $release" ;; -srm) word="$system $release $machine" ;; *) continue ;;
		esac
		out="$out${out:+ }$word"
	done
	echo "$out" ;;
pveversion) cat "$root/.sim/pveversion" ;;
stat)
	# The link of pmxcfs has a mode of its own, which no real file system gives a link.
	last=
	for last; do :; done
	case "$last $*" in
	*/etc/pve/local\ *%a*) cat "$root/.sim/local-mode" ;;
	*) exec @REALSTAT@ "$@" ;;
	esac ;;
systemd-run)
	while [ $# -gt 0 ]; do case $1 in -*) shift ;; *) break ;; esac; done
	echo "Running timer as unit: run-r0815.timer" >&2
	("$@" >/dev/null 2>&1 </dev/null &) ;;
esac
