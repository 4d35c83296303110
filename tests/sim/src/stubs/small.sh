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
	# A timer's seconds are hundredths here.
	wait=0 asked=$*
	while [ $# -gt 0 ]; do
		case $1 in --on-active=*) wait=${1#*=} ;; -*) ;; *) break ;; esac
		shift
	done
	if [ "$SIM_UID" != 0 ]; then
		echo "Failed to start transient timer unit: Interactive authentication required." >&2
		exit 1
	fi
	if [ -e "$root/.sim/no-timers" ]; then
		echo "Failed to start transient timer unit: Connection timed out" >&2
		exit 1
	fi
	echo "$asked" >>"$root/.sim/timers"
	echo "Running timer as unit: run-r0815.timer" >&2
	# It is the system's from the first moment on: whoever ends with the session's processes is not to end it.
	"$root/usr/bin/setsid" @SH@ -c ': >"$0"; @SLEEP@ "0.0$1"; shift; exec "$@"' "$root/.sim/armed.$$" "$wait" "$@" \
		</dev/null >/dev/null 2>&1 &
	while ! [ -e "$root/.sim/armed.$$" ]; do @SLEEP@ 0.01; done
	if [ -e "$root/.sim/cut-after-timer" ]; then
		echo cut >"$root/.sim/requests"
		while [ -e "$root/.sim/cut-after-timer" ]; do @SLEEP@ 0.01; done
	fi ;;
who)
	# Lines `id user terminal from`; a session without a terminal has `-` and is not in utmp.
	while read -r id user tty from; do
		[ "$tty" = - ] || printf '%-8s %-12s Nov 25 10:00%s\n' "$user" "$tty" "${from:+ ($from)}"
	done <"$root/.sim/sessions" ;;
loginctl)
	case ${1-} in
	list-sessions)
		printf '%7s %4s %-5s -    %6s user %-6s no   -\n' 77 "$SIM_UID" "$SIM_USER" 4711 -
		while read -r id user tty from; do
			printf '%7s %4s %-5s -    %6s user %-6s no   -\n' "$id" 1000 "$user" 4712 "$tty"
		done <"$root/.sim/sessions" ;;
	show-session)
		first=yes
		show() {
			[ -n "$first" ] || echo
			first=
			[ "$3" = - ] && set -- "$1" "$2" '' "$4"
			printf 'Id=%s\nName=%s\nTTY=%s\nRemote=%s\nRemoteHost=%s\nClass=user\nState=active\nIdleHint=no\n' \
				"$1" "$2" "$3" "${4:+yes}" "$4"
		}
		for wanted; do
			[ "$wanted" = 77 ] && show 77 "$SIM_USER" - 10.9.9.9
			while read -r id user tty from; do
				[ "$wanted" = "$id" ] && show "$id" "$user" "$tty" "$from"
			done <"$root/.sim/sessions"
		done ;;
	suspend | hibernate) exec "$root/.sim/event" "$1" ;;
	esac
	exit 0 ;;
busctl)
	case "$*" in
	*ListInhibitors) cat "$root/.sim/inhibitors" ;;
	*) echo 'Call failed: Unknown method' >&2; exit 1 ;;
	esac ;;
systemd-inhibit) cat "$root/.sim/inhibitors-list" ;;
poweroff | reboot)
	if [ "$SIM_UID" != 0 ]; then echo "${0##*/}: Operation not permitted" >&2; exit 1; fi
	exec "$root/.sim/event" "${0##*/}" ;;
tee)
	case ${1-} in
	*/sys/power/state)
		if [ "$SIM_UID" != 0 ]; then echo "tee: $1: Permission denied" >&2; exit 1; fi
		read -r state
		case $state in
		mem) exec "$root/.sim/event" suspend ;;
		disk) exec "$root/.sim/event" hibernate ;;
		esac
		echo 'tee: write error: Invalid argument' >&2
		exit 1 ;;
	esac
	exec @TEE@ "$@" ;;
esac
