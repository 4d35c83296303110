# Sets this host's clock so that it wakes the host `$ahead` seconds from now, and reads that back; without `$ahead` it takes
# the alarm `$was` away again, unless another one stands there by now. It runs after clock.sh.
nl='
'
p() { printf '%s\t%s\n' "$1" "$2"; }
# Of a refusal what the kernel's file said, or the program.
fail() { telling "$1"; p failed "${told:-$2}"; }
# tee tells on its output what it wrote.
put() { printf '%s\n' "$1" | $as $cmd 2>&1 >/dev/null; }
# What the alarm shows now, in the clock's own time; nothing where none is set.
shows() { v= && read -r v < "$rtc/wakealarm"; } 2>/dev/null

# Seconds of the day of `HH:MM:SS`.
of_day() {
	a=${1%%:*} b=${1#*:} c=${1##*:}
	b=${b%%:*}
	v=$((${a#0} * 3600 + ${b#0} * 60 + ${c#0}))
}
# Whether the driver shows an alarm about so far ahead, by the time of day: it may keep no date.
driver_shows() {
	now= at= on= tab=$(printf '\t')
	while IFS=" :$tab" read -r a b; do
		case $a$b in
		rtc_time*) of_day "$b" && now=$v ;;
		alrm_time[0-9]*) of_day "$b" && at=$v ;;
		alarm_IRQ*) on=$b ;;
		esac
	done < /proc/driver/rtc
	[ "$on" = yes ] && [ -n "$now" ] && [ -n "$at" ] || return
	v=$(((at - now - ahead) % 86400))
	[ "$v" -ge 0 ] || v=$((v + 86400))
	[ "$v" -le 5 ] || [ "$v" -ge 86395 ]
}

clocks_here >/dev/null 2>&1
alarm_way
if [ -n "$why" ]; then
	[ "$why" = no-rights ] && p user "$(id -un 2>/dev/null) $rights"
	p refused "$why $detail"
elif [ -z "$ahead" ]; then
	shows
	# Another one stands there by now, or none any more.
	if [ -n "$rtc" ] && [ "$v" != "$was" ]; then p cleared ''
	elif [ "$by" = wakealarm ]; then
		if v=$(put 0); then p cleared ''; else fail "$v" 'it was refused'; fi
	elif v=$($as ${cmd% -m no -t} -m disable 2>&1 </dev/null); then p cleared ''
	else fail "$v" 'rtcwake failed'; fi
elif [ "$by" = wakealarm ]; then
	# The alarm is in the clock's own time, which may be the local one, or wrong.
	now=
	[ -r "$rtc/since_epoch" ] && read -r now < "$rtc/since_epoch"
	# One that is set refuses another.
	if [ -z "$now" ]; then p failed 'its clock does not say its time'
	elif v=$(put 0) && v=$(put "$((now + ahead))"); then
		shows
		if [ "$v" = "$((now + ahead))" ]; then p set "$v"; else p shows "$v"; fi
	else fail "$v" 'it was refused'; fi
elif v=$($as $cmd "$(($(date +%s) + ahead))" 2>&1 </dev/null); then
	if [ -n "$rtc" ]; then
		now=0
		[ -r "$rtc/since_epoch" ] && read -r now < "$rtc/since_epoch"
		shows
		a=$((${v:-0} - now - ahead))
		if [ "$a" -ge -5 ] && [ "$a" -le 5 ]; then p set "$v"; else p shows "$v"; fi
	elif driver_shows; then p set ''
	else p shows ''; fi
else
	fail "$v" 'rtcwake failed'
fi
:
