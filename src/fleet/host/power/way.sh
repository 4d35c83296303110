# By what a power call would be made here. `way CALL` sets `by`, `cmd` (as root), `run` and `feed`, or `why` and
# `detail` where nothing can make it. It only looks. `over` says that a program's wish not to be disturbed is passed over.
#
# It runs after sudo.sh and sleep.sh. Absolute paths stand at the beginning of a word.

# systemd before 257 lets root pass over every lock, by the plain verb. Since then only the unit itself, started, does,
# `systemctl -i` asks polkit even for root and fails where nobody can answer.
past_locks() {
	v=$("$1" --version 2>/dev/null </dev/null)
	v=${v#systemd }
	v=${v%%[!0-9]*}
	if [ -n "$v" ] && [ "$v" -lt 257 ]; then cmd="$1 $verb"; return; fi
	case $verb in suspend | hibernate) cmd="$1 start $verb.target" ;;
	*) cmd="$1 start --job-mode=replace-irreversibly --no-block $verb.target" ;; esac
}

way() {
	by= cmd= run= feed= why= detail= as= state=
	[ -n "$uid" ] || uid=$(id -u 2>/dev/null)
	case $1 in
	suspend)
		verb=suspend
		may_sleep mem AllowSuspend CanSuspend sleep.target suspend.target systemd-suspend.service || return
		;;
	hibernate)
		verb=hibernate
		may_sleep disk AllowHibernation CanHibernate sleep.target hibernate.target systemd-hibernate.service || return
		;;
	shutdown) verb=poweroff ;;
	reboot) verb=reboot ;;
	*) why=unsupported detail=$1; return ;;
	esac
	if [ -d /run/systemd/system ]; then
		[ -n "$state" ] || ! masked "$verb.target" || return
		if has /usr/bin/systemctl /bin/systemctl; then
			by=systemctl cmd="$v $verb"
			[ -z "$over" ] || past_locks "$v"
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
	# Somebody may be allowed this alone, or all but this.
	if [ "$rights" != none ] && runs_free "$need"; then
		as="$sudo -n --"
	else
		why=no-rights detail=$need
	fi
}
