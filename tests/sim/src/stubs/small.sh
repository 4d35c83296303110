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
date)
	# The host's clock, which may be wrong.
	off=0
	[ -r "$root/.sim/clock-off" ] && read -r off <"$root/.sim/clock-off"
	case ${1-} in
	+%s) echo "$(($(@DATE@ +%s) + off))" ;;
	*) exec @DATE@ "$@" ;;
	esac ;;
timedatectl)
	case "$*" in
	'set-ntp true') [ "$SIM_UID" = 0 ] && echo 0 >"$root/.sim/clock-off" ;;
	*NTPSynchronized*) echo yes ;;
	esac ;;
systemd-detect-virt)
	virt=none
	[ -r "$root/.sim/virt" ] && read -r virt <"$root/.sim/virt"
	echo "$virt"
	[ "$virt" != none ] ;;
udevadm)
	for last; do :; done
	[ "${1-}" = info ] && [ -r "$root/.sim/udev/${last##*/}" ] && cat "$root/.sim/udev/${last##*/}" ;;
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
qm | pct | pvecm)
	# What they do to the cluster is done by whoever has the cluster: see `Host::administered`.
	if [ "$SIM_UID" != 0 ]; then echo "please run as root" >&2; exit 255; fi
	case "${0##*/} ${1-}" in
	'qm unlock' | 'pct unlock' | 'pct unmount' | 'qm set' | 'pct set' | 'pvecm updatecerts')
		echo "${0##*/} $*" >>"$root/.sim/administered" ;;
	*) echo "unknown command '${0##*/} ${1-}'" >&2; exit 255 ;;
	esac ;;
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
	wait=0 asked=$* service=
	while [ $# -gt 0 ]; do
		case $1 in
		--on-active=*) wait=${1#*=} ;; --unit=*) service=${1#*=} ;; -p) shift ;; -*) ;; *) break ;;
		esac
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
	if [ -n "$service" ]; then
		# A unit of its own, which `systemctl stop` ends.
		mkdir -p "$root/.sim/services"
		"$root/usr/bin/setsid" "$@" </dev/null >/dev/null 2>&1 &
		echo $! >"$root/.sim/services/$service.service"
		exit
	fi
	echo "$asked" >>"$root/.sim/timers"
	unit=run-u$$
	mkdir -p "$root/.sim/runs"
	echo "loaded inactive 0" >"$root/.sim/runs/$unit.service"
	printf 'Running timer as unit: %s.timer\nWill run service as unit: %s.service\n' "$unit" "$unit" >&2
	# It is the system's from the first moment on: whoever ends with the session's processes is not to end it. A unit
	# that ended well is forgotten, one that failed stays.
	"$root/usr/bin/setsid" @SH@ -c ': >"$0"; @SLEEP@ "0.0$1"; u=$2; shift 2; if said=$("$@" 2>&1); then rm -f "$u"; else
		e=$?; echo "$said" >"$u.said"; echo "loaded failed $e" >"$u"; fi' \
		"$root/.sim/armed.$$" "$wait" "$root/.sim/runs/$unit.service" "$@" </dev/null >/dev/null 2>&1 &
	while ! [ -e "$root/.sim/armed.$$" ]; do @SLEEP@ 0.01; done
	if [ -e "$root/.sim/cut-after-timer" ]; then
		echo cut >"$root/.sim/requests"
		while [ -e "$root/.sim/cut-after-timer" ]; do @SLEEP@ 0.01; done
	fi ;;
journalctl)
	# Lines of others' units are root's to read.
	while [ $# -gt 0 ] && [ "$1" != -u ]; do shift; done
	[ "$SIM_UID" = 0 ] && [ -e "$root/.sim/runs/${2-}.said" ] && cat "$root/.sim/runs/$2.said"
	exit 0 ;;
who)
	# Lines `id user terminal from`; `-` is no terminal. Since Debian 13 it is logind that is asked, and each line has
	# the service first: sessions without a terminal are there as well, this one too. Before, utmp had terminals only.
	read -r systemd <"$root/.sim/systemd"
	[ "$systemd" -ge 257 ] && printf '%-8s %-12s 2026-11-25 10:00 (10.9.9.9)\n' "$SIM_USER" sshd
	while read -r id user tty from; do
		if [ "$systemd" -ge 257 ] && [ -n "$from" ]; then
			[ "$tty" = - ] && tty=
			printf '%-8s %-12s 2026-11-25 10:00 (%s)\n' "$user" "sshd $tty" "$from"
		elif [ "$tty" != - ]; then
			printf '%-8s %-12s Nov 25 10:00%s\n' "$user" "$tty" "${from:+ ($from)}"
		fi
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
		read -r systemd <"$root/.sim/systemd"
		show() {
			[ -n "$first" ] || echo
			first=
			# Debian 13 keeps no utmp, by which logind had the terminal of an SSH session.
			if [ "$3" = - ] || { [ -n "$4" ] && [ "$systemd" -ge 257 ]; }; then set -- "$1" "$2" '' "$4"; fi
			printf 'Id=%s\nName=%s\nTTY=%s\nRemote=%s\nRemoteHost=%s\nService=%s\nClass=user\nState=active\nIdleHint=no\n' \
				"$1" "$2" "$3" "${4:+yes}" "$4" sshd
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
	*ListInhibitors)
		# Those that are always there, and those whose holder lives.
		read -r kind count rest <"$root/.sim/inhibitors"
		for held in "$root"/.sim/held/*; do
			case $(cat "/proc/${held##*/}/stat" 2>/dev/null) in '' | *') Z '*) continue ;; esac
			read -r one <"$held"
			count=$((count + 1)) rest="$rest $one"
		done
		echo "$kind $count $rest" ;;
	*CanSuspend | *CanHibernate)
		# What the kernel and the configuration say comes first, then who asks. A masked sleep.target is not looked at.
		case "$*" in *CanSuspend) state=mem ;; *) state=disk ;; esac
		read -r states <"$root/sys/power/state"
		case " $states " in
		*" $state "*)
			if [ -e "$root/.sim/can-$state" ]; then cat "$root/.sim/can-$state"
			elif [ "$SIM_UID" = 0 ]; then echo 's "yes"'
			else echo 's "challenge"'; fi ;;
		*) echo 's "na"' ;;
		esac ;;
	*) echo 'Call failed: Unknown method' >&2; exit 1 ;;
	esac ;;
systemd-inhibit)
	what= who= why= mode=block
	while [ $# -gt 0 ]; do
		case $1 in
		--list) cat "$root/.sim/inhibitors-list"; exit ;;
		--what=*) what=${1#*=} ;; --who=*) who=${1#*=} ;; --why=*) why=${1#*=} ;; --mode=*) mode=${1#*=} ;;
		-*) ;;
		*) break ;;
		esac
		shift
	done
	# polkit lets nobody but root hold back sleep who is not at the machine itself.
	if [ "$SIM_UID" != 0 ]; then
		echo "Failed to inhibit: Interactive authentication required." >&2
		exit 1
	fi
	mkdir -p "$root/.sim/held"
	printf '"%s" "%s" "%s" "%s" 0 %s\n' "$what" "$who" "$why" "$mode" $$ >"$root/.sim/held/$$"
	"$@"
	status=$?
	rm -f "$root/.sim/held/$$"
	exit $status ;;
poweroff | reboot)
	if [ "$SIM_UID" != 0 ]; then echo "${0##*/}: Operation not permitted" >&2; exit 1; fi
	exec "$root/.sim/event" "${0##*/}" ;;
esac
