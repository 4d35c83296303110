# Whether systemd would let the host sleep. It sets `why` and `detail` where it would not, and looks only.

# A file of sleep.conf's kind: sets `allow` by the key $1 in the section [Sleep] of $2.
sleep_conf() {
	[ -r "$2" ] || return
	section= l=
	while IFS= read -r v || [ -n "$v" ]; do
		l=$l$v
		case $l in
		[\#\;]*) ;;
		*[\\]) l="${l%?} "; continue ;;
		esac
		v=$l l=
		v=${v#"${v%%[![:space:]]*}"}
		v=${v%"${v##*[![:space:]]}"}
		case $v in
		[\#\;]*) ;;
		\[*) section=$v ;;
		"$1"*=*)
			[ "$section" = '[Sleep]' ] || continue
			o=${v%%=*} v=${v#*=}
			[ "${o%"${o##*[![:space:]]}"}" = "$1" ] || continue
			v=${v#"${v%%[![:space:]]*}"}
			case $v in
			'') allow= ;;
			1 | [Yy] | [Yy][Ee][Ss] | [Tt] | [Tt][Rr][Uu][Ee] | [Oo][Nn]) allow=yes ;;
			0 | [Nn] | [Nn][Oo] | [Ff] | [Ff][Aa][Ll][Ss][Ee] | [Oo][Ff][Ff]) allow=no ;;
			esac
			;;
		esac
	done < "$2"
}

# Whether systemd is told not to do it: $1 is the key. The main file comes first, then the drop-ins of all folders by
# their names; of one name only the first folder's counts.
disallowed() {
	allow=
	for o in /etc/systemd/sleep.conf /run/systemd/sleep.conf /usr/local/lib/systemd/sleep.conf \
		/usr/lib/systemd/sleep.conf /lib/systemd/sleep.conf; do
		[ -e "$o" ] && sleep_conf "$1" "$o" && break
	done
	names=
	for o in /etc/systemd/sleep.conf.d/*.conf /run/systemd/sleep.conf.d/*.conf \
		/usr/local/lib/systemd/sleep.conf.d/*.conf /usr/lib/systemd/sleep.conf.d/*.conf \
		/lib/systemd/sleep.conf.d/*.conf; do
		[ -e "$o" ] && names="$names${o##*/}$nl"
	done
	[ -n "$names" ] && names=$(printf %s "$names" | LC_ALL=C sort -u) && while IFS= read -r n; do
		for d in /etc/systemd/sleep.conf.d /run/systemd/sleep.conf.d /usr/local/lib/systemd/sleep.conf.d \
			/usr/lib/systemd/sleep.conf.d /lib/systemd/sleep.conf.d; do
			[ -e "$d/$n" ] || continue
			sleep_conf "$1" "$d/$n"
			break
		done
	done <<X
$names
X
	[ "$allow" = no ]
}

# A unit file that is empty, or leads to /dev/null, masks its unit; an own one in /etc beats what /run says.
masked() {
	for o; do
		for d in /etc/systemd/system /run/systemd/system; do
			[ -e "$d/$o" ] || continue
			if ! [ -s "$d/$o" ] && ! [ -d "$d/$o" ]; then why=masked detail=$o; return 0; fi
			break
		done
	done
	return 1
}

# Whether the kernel takes the state $1 from root. A container sees the file, and may not write it.
state_here() {
	v=
	[ -r /sys/power/state ] && IFS= read -r v < /sys/power/state
	case " $v " in *" $1 "*) ;; *) why=unsupported detail=$1; return 1 ;; esac
	ro=
	[ -r /proc/mounts ] && while read -r a b c d o; do
		case $b in
		[/]sys | [/]sys/power | [/]sys/power/state) case ,$d, in *,ro,*) ro=1 ;; *) ro= ;; esac ;;
		esac
	done < /proc/mounts
	# Only root itself can ask the file.
	[ "$uid" != 0 ] || [ -w /sys/power/state ] || ro=1
	[ -z "$ro" ] || { why=read-only; return 1; }
}

# Whether there is swap to hibernate to: one that lasts and has room for what is in use, as systemd reckons.
swap_here() {
	why=no-swap detail= need=
	if [ -r /proc/meminfo ]; then
		while read -r a b c; do [ "$a" = 'Active(anon):' ] && need=$b; done < /proc/meminfo
	fi
	while read -r a b c d o; do
		case $a in Filename | '') continue ;; [/]dev/zram* | zram*) [ -n "$detail" ] || detail=zram; continue ;; esac
		case $c$d in *[!0-9]* | '') why= ; return 0 ;; esac
		case $need in '' | *[!0-9]*) why= ; return 0 ;; esac
		if [ $((need * 100)) -le $(((c - d) * 98)) ]; then why= ; return 0; fi
		detail=small
	done < /proc/swaps
	return 1
}

# What logind answers, or nothing: $1 is CanSuspend or CanHibernate.
logind_says() {
	has /usr/bin/busctl /bin/busctl || return
	v=$("$v" --system --no-pager call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager \
		"$1" 2>/dev/null </dev/null) || return
	case $v in 's "'*'"') v=${v#s \"} says=${v%\"} ;; esac
}

# $1 mem or disk, $2 the key of sleep.conf, $3 logind's question, then the units.
may_sleep() {
	state=$1 key=$2 ask=$3 says=
	shift 3
	systemd=
	[ -d /run/systemd/system ] && systemd=1 && logind_says "$ask"
	if [ -n "$systemd" ]; then
		# logind does not look at sleep.target.
		masked "$@" && return 1
		case $says in
		# A lock is looked at apart. `challenge`: this login would be asked, root is not.
		yes | challenge | inhibited | inhibitor-blocked | challenge-inhibitor-blocked) return 0 ;;
		esac
		if disallowed "$key"; then why=disallowed detail=$key; return 1; fi
	fi
	state_here "$state" || return 1
	if [ "$state" = disk ] && [ -r /proc/swaps ]; then swap_here || return 1; fi
	if [ "$state" = disk ] && [ -r /proc/cmdline ] && IFS= read -r v < /proc/cmdline; then
		case " $v " in *' noresume '*) why=unsupported detail=noresume; return 1 ;; esac
	fi
	case $says in
	'') ;;
	no) [ "$uid" != 0 ] || { why=logind detail=no; return 1; } ;;
	*) why=logind detail=$says; return 1 ;;
	esac
}
