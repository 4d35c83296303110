# By what a power call would be made here. `way CALL` sets `by`, `cmd` (as root), `run` and `feed`, or `why` and
# `detail` where nothing can make it. It only looks. `ignore` may hold a flag for systemctl.
#
# It uses `uid`, `rights` and `sudo` where the facts script has set them. Absolute paths stand at the beginning of a word.

# The first of these programs that is there stays in $v.
has() {
	for v; do [ -x "$v" ] && return; done
	v=
	return 1
}

rights_here() {
	[ -n "$uid" ] || uid=$(id -u 2>/dev/null)
	[ "$uid" = 0 ] || [ -n "$rights" ] && return
	rights=none sudo=
	if has /usr/bin/sudo /usr/local/bin/sudo /run/wrappers/bin/sudo; then
		sudo=$v rights=no
		# One that looks for a directory server may take long: whoever gives up should know why.
		echo "waiting for sudo" >&2
		"$sudo" -n -- true 2>/dev/null && rights=yes
		echo "sudo has answered" >&2
	fi
}

# Whether systemd is told not to do it: $1 is the key of sleep.conf. Later files win.
disallowed() {
	allow=
	for o in /usr/lib/systemd/sleep.conf /etc/systemd/sleep.conf /run/systemd/sleep.conf.d/*.conf \
		/etc/systemd/sleep.conf.d/*.conf; do
		[ -r "$o" ] || continue
		while IFS= read -r v || [ -n "$v" ]; do
			case $v in "$1"=*) allow=${v#*=} ;; esac
		done < "$o"
	done
	case $allow in no | false | off | 0 | n | f) return 0 ;; esac
	return 1
}

way() {
	by= cmd= run= feed= why= detail= as= state=
	case $1 in
	suspend) verb=suspend state=mem key=AllowSuspend units='sleep.target suspend.target systemd-suspend.service' ;;
	hibernate) verb=hibernate state=disk key=AllowHibernation units='sleep.target hibernate.target systemd-hibernate.service' ;;
	shutdown) verb=poweroff units=poweroff.target ;;
	reboot) verb=reboot units=reboot.target ;;
	*) why=unsupported detail=$1; return ;;
	esac
	if [ -n "$state" ]; then
		v=
		[ -r /sys/power/state ] && read -r v < /sys/power/state
		case " $v " in *" $state "*) ;; *) why=unsupported detail=$state; return ;; esac
	fi
	if [ "$state" = disk ] && [ -r /proc/swaps ]; then
		v=0
		while read -r o; do v=$((v + 1)); done < /proc/swaps
		if [ "$v" -lt 2 ]; then why=no-swap; return; fi
	fi
	if [ -d /run/systemd/system ]; then
		for o in $units; do
			for d in /etc/systemd/system /run/systemd/system; do
				if [ "$d/$o" -ef /dev/null ]; then why=masked detail=$o; return; fi
			done
		done
		if [ -n "$state" ] && disallowed "$key"; then why=disallowed detail=$key; return; fi
		if has /usr/bin/systemctl /bin/systemctl; then
			by=systemctl cmd="$v $verb${ignore:+ $ignore}"
			if has /usr/bin/systemd-run /bin/systemd-run; then
				by=systemd-run
				run="$v --on-active=2 --timer-property=AccuracySec=100ms"
			fi
		fi
	elif [ -n "$state" ]; then
		if [ -e /run/elogind.pid ] && has /usr/bin/loginctl /bin/loginctl; then
			by=loginctl cmd="$v $verb"
		elif [ "$state" = mem ] && has /usr/sbin/zzz /usr/bin/zzz /sbin/zzz; then
			by=zzz cmd=$v
		elif [ "$state" = disk ] && has /usr/sbin/ZZZ /usr/bin/ZZZ /sbin/ZZZ; then
			by=ZZZ cmd=$v
		elif has /usr/sbin/pm-"$verb" /usr/bin/pm-"$verb"; then
			by=pm-$verb cmd=$v
		elif has /usr/bin/tee /bin/tee; then
			by=sys-power-state feed=$state
			cmd=$v
			set -- /sys/power/state
			cmd="$cmd $1"
		fi
	elif has /sbin/"$verb" /usr/sbin/"$verb" /bin/"$verb" /usr/bin/"$verb"; then
		by=$verb cmd=$v
	fi
	if [ -z "$by" ]; then why=no-means; return; fi
	rights_here
	[ "$uid" = 0 ] && return
	need="${run:+$run }$cmd"
	# Somebody may be allowed this alone.
	if [ "$rights" = yes ] || { [ "$rights" = no ] && "$sudo" -n -l -- $need >/dev/null 2>&1; }; then
		as="$sudo -n --"
	else
		why=no-rights detail=$need
	fi
}
