#!/bin/sh
# systemctl's words about units (`.sim/units` has lines `unit enabled-state active-state`), and its power verbs.
root=@ROOT@
verb= units= value= property= ignore= direct=
read -r systemd <"$root/.sim/systemd"
while [ $# -gt 0 ]; do
	case $1 in
	--value) value=yes ;;
	--version) echo "systemd $systemd ($systemd.1-1)"; exit 0 ;;
	-i | --ignore-inhibitors | --check-inhibitors=no) ignore=yes ;;
	-p) shift; property=$property${property:+,}$1 ;;
	-p* | --property=*) property=${1#-p}; property=${property#--property=} ;;
	-*) ;;
	*) if [ -z "$verb" ]; then verb=$1; else units="$units $1"; fi ;;
	esac
	shift
done
state() { # unit column
	while read -r unit enabled active; do
		if [ "$unit" = "${1%.service}" ] || [ "$unit" = "$1" ]; then eval "echo \$$2"; return; fi
	done <"$root/.sim/units"
}
case $verb in
start)
	case $units in
	*systemd-suspend.service* | *suspend.target*) verb=suspend direct=yes ;;
	*systemd-hibernate.service* | *hibernate.target*) verb=hibernate direct=yes ;;
	*poweroff.target*) verb=poweroff direct=yes ;;
	*reboot.target*) verb=reboot direct=yes ;;
	esac ;;
esac
case $verb in
list-timers)
	# As JSON only, as programs ask for it.
	cat "$root/.sim/list-timers.json" 2>/dev/null || echo '[]' ;;
start | restart)
	case $units in
	*pve-cluster*)
		# pmxcfs shows its files again.
		if [ -e "$root/.sim/pmxcfs-down" ]; then
			for path in etc/pve:.sim/etc-pve-away .sim/plain/etc/pve:.sim/plain-etc-pve-away; do
				rm -rf "${root:?}/${path%%:*}"
				mv "$root/${path#*:}" "$root/${path%%:*}"
			done
			rm -f "$root/.sim/pmxcfs-down" "$root/.sim/root-keys-away"
		fi ;;
	esac
	for unit in $units; do
		while read -r name enabled active; do
			[ "$name" = "${unit%.service}" ] && active=active
			echo "$name $enabled $active"
		done <"$root/.sim/units" >"$root/.sim/units.new"
		cat "$root/.sim/units.new" >"$root/.sim/units"
	done ;;
unmask)
	if [ "$SIM_UID" != 0 ]; then echo "Failed to unmask unit: Access denied" >&2; exit 1; fi
	for unit in $units; do
		rm -f "$root/etc/systemd/system/$unit"
		while read -r name enabled active; do
			[ "$name" = "$unit" ] && enabled=static
			echo "$name $enabled $active"
		done <"$root/.sim/units" >"$root/.sim/units.new"
		cat "$root/.sim/units.new" >"$root/.sim/units"
	done ;;
is-active)
	result=3
	for unit in $units; do
		active=$(state "$unit" active)
		echo "${active:-inactive}"
		[ "$active" = active ] && result=0
	done
	exit $result ;;
is-enabled)
	result=1
	for unit in $units; do
		enabled=$(state "$unit" enabled)
		if [ -z "$enabled" ]; then echo "not-found"; continue; fi
		echo "$enabled"
		case $enabled in enabled | static) result=0 ;; esac
	done
	exit $result ;;
show)
	for unit in $units; do
		case $(state "$unit" enabled) in '') load=not-found ;; masked) load=masked ;; *) load=loaded ;; esac
		active=$(state "$unit" active) status=0
		# What systemd-run made is loaded until it has ended well.
		[ -e "$root/.sim/runs/$unit" ] && read -r load active status <"$root/.sim/runs/$unit"
		for name in $(printf '%s' "${property:-LoadState,ActiveState}" | tr , ' '); do
			case $name in
			LoadState) text=$load ;;
			ActiveState) text=${active:-inactive} ;;
			ExecMainStatus) text=$status ;;
			UnitFileState) text=$(state "$unit" enabled) ;;
			*) text= ;;
			esac
			if [ -n "$value" ]; then echo "$text"; else echo "$name=$text"; fi
		done
	done ;;
stop)
	if [ "$SIM_UID" != 0 ]; then
		echo "Failed to stop$units: Interactive authentication required." >&2
		exit 1
	fi
	for unit in $units; do
		[ -e "$root/.sim/services/$unit" ] || continue
		read -r pid <"$root/.sim/services/$unit"
		# One that has just been started may not lead its group yet. After -KILL, dash takes no --.
		kill -s KILL -- "-$pid" "$pid" 2>/dev/null
		rm -f "$root/.sim/services/$unit" "$root/.sim/held/$pid"
	done ;;
suspend | hibernate | poweroff | reboot)
	if [ "$SIM_UID" != 0 ]; then
		echo "Call to ${verb} failed: Interactive authentication required." >&2
		exit 1
	fi
	case $verb in suspend | hibernate)
		if [ "$(state sleep.target enabled)" = masked ]; then
			echo "Failed to put system to sleep: Unit $verb.target is masked." >&2
			exit 1
		fi ;;
	esac
	# Since 257 a lock of mode `block` holds root too, and `-i` asks polkit, over SSH nobody.
	case $verb in suspend | hibernate) lock=sleep ;; *) lock=shutdown ;; esac
	locks() {
		cat "$root/.sim/locks"
		for held in "$root"/.sim/held/*; do
			case $(cat "/proc/${held##*/}/stat" 2>/dev/null) in '' | *') Z '*) continue ;; esac
			cut -d'"' -f2 "$held"
		done
	}
	if [ -z "$direct" ] && [ "$systemd" -ge 257 ] && locks | grep -q "\(^\|:\)$lock\(:\|\$\)"; then
		case $verb in suspend) call=Suspend ;; hibernate) call=Hibernate ;; poweroff) call=PowerOff ;; *) call=Reboot ;; esac
		if [ -n "$ignore" ]; then echo "Call to $call failed: Interactive authentication required." >&2
		else echo "Call to $call failed: Access denied" >&2; fi
		exit 1
	fi
	exec "$root/.sim/event" "$verb" ;;
*) exit 0 ;;
esac
