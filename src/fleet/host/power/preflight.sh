# Reasons against putting this host to sleep or switching it off now. It runs after the facts script, whose
# variables and functions it uses, and after way.sh. `locks` is set where locks may be passed over. One `key<TAB>value`
# a line; what cannot be had is left out.
# Nothing here writes, asks, or waits for input. Absolute paths stand at the beginning of a word.

p ssh "${SSH_CONNECTION-}"
f uuid /sys/class/dmi/id/product_uuid

# Who is logged in. logind knows sessions; what else has a terminal is in utmp, where there is one.
own=${XDG_SESSION_ID-}
if [ -z "$own" ] && [ -r /proc/self/cgroup ]; then
	while IFS= read -r v; do
		case $v in */session-*.scope) own=${v##*/session-} own=${own%.scope} ;; esac
	done < /proc/self/cgroup
fi
p own "$own"

# What runs in a session: the terminal that it has, though logind does not know it (Debian 13), and the program where
# it is none that ecobox itself or sshd runs.
inside() {
	for o in /sys/fs/cgroup/user.slice/user-*.slice/session-"$1".scope /sys/fs/cgroup/systemd/user.slice/user-*.slice/session-"$1".scope; do
		[ -r "$o/cgroup.procs" ] && while read -r pid; do
			v=
			[ -r /proc/"$pid"/stat ] && IFS= read -r v < /proc/"$pid"/stat
			case $v in *') '*) ;; *) continue ;; esac
			b=${v#*\(} b=${b%\)*}
			read -r c c c c c d <<Y
x ${v##*) }
Y
			# The terminal's number: 136 is the kernel's for those of pseudo terminals.
			c=${d%% *}
			case $c in '' | *[!0-9]*) ;; *) [ "$c" -ge 34816 ] && [ "$c" -lt 35072 ] && p inside "$1 pts/$((c - 34816))" ;; esac
			case $b in
			sshd* | sh | dash | ash | bash | zsh | fish | ksh | busybox | systemd* | elogind-inhibit | timeout | head | sleep | grep | df | ip | ethtool | sudo | who | \
				stat | sort | id | uname | loginctl | busctl | systemctl | dpkg-query) ;;
			*) p runs "$1 $b" ;;
			esac
		done < "$o/cgroup.procs"
	done 2>/dev/null
}
if has /usr/bin/loginctl /bin/loginctl; then
	loginctl=$v
	if v=$("$loginctl" list-sessions --no-legend --no-pager 2>/dev/null </dev/null); then
		p logind yes
		ids=
		while read -r a b; do
			case $a in '' | *[!A-Za-z0-9_.-]*) ;; *) ids="$ids $a" ;; esac
		done <<X
$v
X
		[ -n "$ids" ] && "$loginctl" show-session --no-pager -p Id -p Name -p TTY -p Remote -p RemoteHost -p Class -p State \
			-p Service -p IdleHint $ids 2>/dev/null </dev/null | while IFS= read -r v; do p sess "$v"; done
		for a in $ids; do [ "$a" = "$own" ] || inside "$a"; done
	fi
fi
utmp=
for o in /run/utmp /var/run/utmp /run/systemd/sessions; do [ -e "$o" ] && utmp=1; done
if [ -n "$utmp" ] && has /usr/bin/who /bin/who; then
	p utmp yes
	"$v" 2>/dev/null </dev/null | while IFS= read -r v; do p who "$v"; done
elif [ -z "$utmp" ]; then
	# No book of logins is kept (Alpine): open terminals tell of somebody.
	for o in /dev/pts/[0-9]*; do
		[ -e "$o" ] || continue
		p pty "pts/${o##*/} $(stat -c %U "$o" 2>/dev/null)"
	done
	[ -e /dev/pts/ptmx ] && p utmp pts
fi

# Who asked not to be disturbed. The bus says it unambiguously; the lists' columns differ between versions.
inhibit=
if has /usr/bin/busctl /bin/busctl; then
	v=$("$v" --system --no-pager call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager \
		ListInhibitors 2>/dev/null </dev/null) && inhibit=${v%%"$nl"*} && p inhibitors "$inhibit"
fi
if [ -z "$inhibit" ] && has /usr/bin/systemd-inhibit /bin/systemd-inhibit /usr/bin/elogind-inhibit /bin/elogind-inhibit; then
	if v=$("$v" --list --no-legend --no-pager 2>/dev/null </dev/null); then
		p inhibitlist yes
		while IFS= read -r a; do [ -n "$a" ] && p inhibit "$a"; done <<X
$v
X
		inhibit=1
	fi
fi
# Without logind nobody can ask.
[ -z "$inhibit" ] && ! [ -d /run/systemd/system ] && ! [ -e /run/elogind.pid ] && p inhibitlist none

# By what whoever runs in a virtual machine knows the machine it is in: QEMU was told, for everybody to read.
carries() {
	[ -r /proc/"$2"/cmdline ] && tr '\0' '\n' < /proc/"$2"/cmdline | while IFS= read -r v; do
		case $v in
		type=1,*uuid=*) v=${v#*uuid=} && p carries "$1 uuid ${v%%,*}" ;;
		*,mac=*) v=${v#*,mac=} && p carries "$1 mac ${v%%,*}" ;;
		esac
	done
}

# Guests that run, as far as the host shows it without its API. The pid files are root's, the control groups are
# everybody's to see.
for o in /run/qemu-server/*.pid /var/run/qemu-server/*.pid; do
	[ -r "$o" ] && read -r v < "$o" || continue
	case $v in '' | *[!0-9]*) continue ;; esac
	a=${o##*/}
	for d in /proc/"$v"; do [ -d "$d" ] && p vm "${a%.pid}" && carries "${a%.pid}" "$v"; done
done 2>/dev/null
for o in /sys/fs/cgroup/qemu.slice/*.scope /sys/fs/cgroup/systemd/qemu.slice/*.scope; do
	[ -d "$o" ] && a=${o##*/} && p vm "${a%.scope}" || continue
	[ -r "$o/cgroup.procs" ] && read -r v < "$o/cgroup.procs" && carries "${a%.scope}" "$v"
done
for o in /sys/fs/cgroup/lxc/[0-9]* /sys/fs/cgroup/systemd/lxc/[0-9]*; do
	[ -d "$o" ] || continue
	v=1
	[ -r "$o/cgroup.events" ] && while read -r a b; do [ "$a" = populated ] && v=$b; done < "$o/cgroup.events"
	[ "$v" = 0 ] || p ct "${o##*/}"
done

# Tasks that run: each one's process calls itself `task UPID:...`, whoever looks.
if [ -d /etc/pve ]; then
	p tasks yes
	for o in /proc/[0-9]*; do
		v=
		IFS= read -r v < "$o/cmdline"
		case $v in 'task UPID:'*) p task "${v#task }" ;; esac
	done 2>/dev/null
fi

over= past=
while :; do
	for call in suspend hibernate shutdown reboot; do
		way "$call"
		if [ -n "$why" ]; then p "cannot$past" "$call $why $detail"; else p "can$past" "$call $by"; fi
	done
	# And how it would go past the locks, where that was allowed.
	[ -n "$locks" ] && [ -z "$over" ] && [ -d /run/systemd/system ] || break
	over=yes past=past
done
p user "$(id -un 2>/dev/null)"
:
