#!/bin/sh
# systemctl's words about units (`.sim/units` has lines `unit enabled-state active-state`), and its power verbs.
root=@ROOT@
verb= units= value= property=
while [ $# -gt 0 ]; do
	case $1 in
	--value) value=yes ;;
	-p) shift; property=$1 ;;
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
	*systemd-suspend.service* | *suspend.target*) verb=suspend ;;
	*systemd-hibernate.service* | *hibernate.target*) verb=hibernate ;;
	esac ;;
esac
case $verb in
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
		active=$(state "$unit" active)
		for name in $(printf '%s' "${property:-LoadState,ActiveState}" | tr , ' '); do
			case $name in
			LoadState) text=$load ;;
			ActiveState) text=${active:-inactive} ;;
			UnitFileState) text=$(state "$unit" enabled) ;;
			*) text= ;;
			esac
			if [ -n "$value" ]; then echo "$text"; else echo "$name=$text"; fi
		done
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
	exec "$root/.sim/event" "$verb" ;;
*) exit 0 ;;
esac
