# Who is connected to this host now, and what works on it. It runs after preflight.sh, whose functions it uses, where that
# is asked for. Anybody may read all of it; what cannot be had is left out.

# The own connection, by its two ports: sudo is not used here, and so the variable is there.
own=nothing
read -r a b c d <<X
${SSH_CONNECTION-}
X
case $b$d in '' | *[!0-9]*) ;; *) own=$(printf ':%04X [0-9A-F]*:%04X 01 ' "$d" "$b") ;; esac

# The connections to ports that count, each once: local address and port, remote address; and the ports that somebody
# listens at. A shell's loop over ten thousand lines takes half a second, and sed as long as needed where it has to remember
# parts: grep chooses, sed cuts, and only in bytes. `ports` is set before: hexadecimal numbers with `|` between them.
if [ -r /proc/net/tcp ]; then
	p tcp seen
	tab='	'
	LC_ALL=C grep -h -E ":($ports) [0-9A-F]+:[0-9A-F]{4} (01|0A) " /proc/net/tcp /proc/net/tcp6 2>/dev/null | LC_ALL=C sed \
		-e "/$own/d" -e 's/^[^:]*: //' -e '/ 0A /{' -e 's/ .*//' -e "s/^/listening$tab/" -e b -e '}' \
		-e 's/:[0-9A-F]* 01 .*//' -e "s/^/connection$tab/" | LC_ALL=C sort -u -r | head -n 4000
fi

# A package manager at work holds the lock on a file that is always there. The kernel's list has MAJOR:MINOR:INODE of it, the
# first two hexadecimal.
held() {
	while read -r o c o o pid v; do
		[ "$c" != '->' ] || continue
		case "$v " in *:"$2 "*) ;; *) continue ;; esac
		v=${v%% *} a=${v%%:*} b=${v#*:} b=${b%%:*}
		case $a$b in *[!0-9a-f]* | '') continue ;; esac
		[ $((0x$a)) = $(($1 >> 8 & 4095)) ] && [ $((0x$b)) = $(($1 & 255 | $1 >> 12 & 1048320)) ] && return
		# On btrfs the kernel's number of the device is another one here: then the holder's name tells.
		v=
		[ -r "/proc/$pid/comm" ] && read -r v < "/proc/$pid/comm"
		case $v in apt* | dpkg* | aptitude* | unattended-upgr | rpm* | dnf* | yum* | zypper | apk) return ;; esac
	done < /proc/locks
	return 1
}
[ -r /proc/locks ] && stat -c '%D %i' /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock \
	/var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock /lib/apk/db/lock 2>/dev/null | while read -r d i; do
	held "$((0x$d))" "$i" && p work "a package manager" && break
done

# Disks that are put together anew, or looked through.
for o in /sys/block/md*/md/sync_action; do
	v=
	[ -r "$o" ] && read -r v < "$o"
	case $v in '' | idle | frozen) ;; *) a=${o%/md/sync_action}; p work "${a##*/} ($v)" ;; esac
done
for o in /sys/fs/btrfs/*/exclusive_operation; do
	v=
	[ -r "$o" ] && read -r v < "$o"
	case $v in '' | none) ;; *) p work "btrfs ($v)" ;; esac
done
if [ -e /sys/module/zfs ] && has /usr/sbin/zpool /sbin/zpool; then
	# A pool that hangs keeps whoever asks for it.
	timeout 5 "$v" status 2>/dev/null </dev/null | while read -r a b c; do
		case "$a $b $c" in 'scan: scrub in progress'* | 'scan: resilver in progress'*) p work "ZFS ($b)" ;; esac
	done
fi

# Backups and copies, and package managers whose lock says nothing, by the names of their programs. Those that wait for
# others are no work.
grep -s -H -x -E 'rsync|borg|restic|rclone|kopia|vzdump|proxmox-backup-|pacman|zypper|dnf5?|yum|rpm' /proc/[0-9]*/comm | while read -r o; do
	v=${o##*:} o=${o%:*}
	case $v in pacman | zypper | dnf | dnf5 | yum | rpm) p work "a package manager"; continue ;; esac
	a=$(tr '\0' ' ' < "${o%comm}cmdline")
	case " $a" in *' --daemon '* | *' mount '* | *' serve '*) continue ;; esac
	p work "$v"
done 2>/dev/null
:
