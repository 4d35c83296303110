#!/bin/sh
# tee; where it writes to a file of the kernel's, what that does: the alarm of the clock, and the states of sleep.
root=@ROOT@
for target; do :; done
case ${target-} in
*/rtc[0-9]/wakealarm)
	IFS= read -r value
	printf '%s\n' "$value"
	refuse() { echo "tee: $target: $1" >&2; exit 1; }
	[ "$SIM_UID" = 0 ] || refuse 'Permission denied'
	printf '%s\n' "$value" >>"$root/.sim/rtc-writes"
	read -r now <"${target%/*}/since_epoch"
	set= mode= most=
	[ -s "$target" ] && read -r set <"$target"
	[ -r "$root/.sim/rtc-mode" ] && read -r mode most <"$root/.sim/rtc-mode"
	case $value in +*) value=$((now + ${value#+})) ;; esac
	# A time that is over switches the alarm off.
	if [ "$value" -le "$now" ]; then : >"$target"; exit 0; fi
	[ -z "$set" ] || refuse 'Device or resource busy'
	case $mode in
	deaf) exit 0 ;;
	most) [ "$((value - now))" -le "$most" ] || refuse 'Invalid argument' ;;
	esac
	printf '%s\n' "$value" >"$target" ;;
*/sys/power/state)
	IFS= read -r value
	printf '%s\n' "$value"
	[ "$SIM_UID" = 0 ] || { echo "tee: $target: Permission denied" >&2; exit 1; }
	case $value in
	mem) exec "$root/.sim/event" suspend ;;
	disk) exec "$root/.sim/event" hibernate ;;
	esac
	echo 'tee: write error: Invalid argument' >&2
	exit 1 ;;
*) exec @TEE@ "$@" ;;
esac
