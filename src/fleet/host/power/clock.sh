# Which clock could wake this host at a time, and by what it would be set: `clocks_here` lists all of them, and sets `rtc`, the
# folder of the one that could; `alarm_way` sets `by`, `cmd` and `as`, or `why` and `detail` where nothing can set it.
# It only looks, and runs after sudo.sh. Absolute paths stand at the beginning of a word.

clocks_here() {
	rtc=
	for d in /sys/class/rtc/rtc*; do
		[ -e "$d/name" ] || continue
		a=no b= c=
		[ -e "$d/wakealarm" ] && a=yes
		[ -r "$d/device/power/wakeup" ] && IFS= read -r b < "$d/device/power/wakeup"
		[ -r "$d/hctosys" ] && IFS= read -r c < "$d/hctosys"
		printf 'rtc\t%s\n' "${d##*/} $a ${b:-unknown} ${c:-0}"
		if [ "$a" = yes ] && { [ -z "$rtc" ] || [ "$c" = 1 ]; }; then rtc=$d; fi
	done
	[ -r /proc/driver/rtc ] && while IFS=: read -r a b; do
		case $a in
		batt_status*) printf 'battery\t%s\n' "$b" ;;
		HPET_emulated*) printf 'hpet\t%s\n' "$b" ;;
		esac
	done < /proc/driver/rtc
}

# Whether this login may run $1 as root: sets `as`.
may_run() {
	as=
	rights_here
	[ "$uid" = 0 ] && return
	as="$sudo -n --"
	[ "$rights" != none ] && runs_free "$1"
}

alarm_way() {
	by= cmd= why= detail= as=
	if [ -n "$rtc" ] && has /usr/bin/tee /bin/tee; then
		by=wakealarm cmd="$v $rtc/wakealarm"
		may_run "$cmd" && return
		why=no-rights detail=$cmd
	fi
	# The same by an ioctl: a kernel may come without those files, and somebody may be allowed this alone.
	if [ -n "$rtc" ] || [ -e /proc/driver/rtc ]; then
		if has /usr/sbin/rtcwake /sbin/rtcwake /usr/bin/rtcwake; then
			by=rtcwake cmd="$v -m no -t"
			if may_run "$cmd 1234567890"; then why= detail=; return; fi
			# Any time in seconds; a `*` would allow more.
			[ -n "$why" ] || detail="$cmd [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]"
			why=no-rights
		fi
	fi
	[ -n "$why" ] || why=no-means
}
