# How hard this host works. Lines `key<TAB>value`, lines `file:text` of /proc and /sys as grep prints them, and at
# the end what df says. What cannot be had is left out. Before this text stand the variables
#   known  the boot id of the reading that the caller remembers, or nothing
#   since  the whole seconds of that reading's uptime
#   pause  how long to measure where that reading cannot be used, in seconds
#   whole  the same in whole seconds, for a sleep that knows no others
#   all    1: all local file systems, else only the root
#
# One grep reads all files at once and leaves out what nobody wants, as the line of interrupts. So there are two
# processes, df being the other; two more where it must be measured. Nothing here writes or waits for input, and
# nothing needs rights. No `exit`: the text runs inside braces.

nl='
'
# Relative from here on, so that the answer's file names are short.
cd /proc/ 2>/dev/null || cd /
# The first line of a file is in $v.
f() { v=; [ -r "$1" ] && IFS= read -r v < "$1"; } 2>/dev/null

f sys/kernel/random/boot_id
boot=$v
printf 'boot\t%s\n' "$boot"
f uptime
up=${v%%.*}

# Physical ports: only they have a device behind them. Not what is handed to guests (SR-IOV functions). What passes
# a bridge, a bond, a VLAN or a tap has passed one of them, or did not leave the host.
set --
ports=
for d in ../sys/class/net/*; do
	[ -e "$d/device" ] || continue
	[ -e "$d/device/physfn" ] && continue
	f "$d/type"
	[ "$v" = 1 ] || continue
	ports=1
	set -- "$@" "$d/statistics/rx_bytes" "$d/statistics/tx_bytes"
done
if [ -z "$ports" ]; then
	# A container has none: what the default route goes through. The kernel lists the default first.
	i=0 best= dev=
	[ -r net/route ] && while read -r a b c o o o metric mask o && [ "$i" -lt 200 ]; do
		i=$((i + 1))
		[ "$b-$mask" = 00000000-00000000 ] || continue
		case $metric in '' | *[!0-9]* | ??????????*) metric=0 ;; esac
		if [ -z "$best" ] || [ "$metric" -lt "$best" ]; then best=$metric dev=$a; fi
	done < net/route
	i=0
	[ -z "$dev" ] && [ -r net/ipv6_route ] && while read -r a b o o o o o o o c && [ "$i" -lt 500 ]; do
		i=$((i + 1))
		# The kernel has one more default of its own, which leads nowhere, by lo.
		[ "$a-$b" = 00000000000000000000000000000000-00 ] && [ "$c" != lo ] && dev=$c && break
	done < net/ipv6_route
	case $dev in
	'' | */* | .*) ;;
	*)
		printf 'route\t%s\n' "$dev"
		d=../sys/class/net/$dev
		set -- "$@" "$d/statistics/rx_bytes" "$d/statistics/tx_bytes"
		;;
	esac
fi

# Whole physical disks likewise. /sys/block writes a slash in a name as `!`. NVMe shows a disk with several paths
# once as nvme0n1 and again by its paths, as nvme0c0n1.
disks=
for d in ../sys/block/*; do
	[ -e "$d/device" ] || continue
	n=${d##*/}
	case $n in
	nvme*c*n*) continue ;;
	*!*) n=${n%%!*}.${n#*!} ;;
	esac
	case $n in *[!A-Za-z0-9._-]*) ;; *) disks="$disks${disks:+|}$n" ;; esac
done
printf 'disks\t%s\n' "$disks"
[ -n "$disks" ] && disks="|^ *[0-9]+ +[0-9]+ ($disks) "

# One reading: the time first, then what it is for. /dev/null makes grep name its files even where there is one.
# A number alone is a port's counter.
counters="^[0-9]+\$|^[0-9]+\.[0-9]+ |^cpu |^cpu[0-9]+ $disks"
case $since in '' | *[!0-9]*) known= ;; esac
case $up in
'' | *[!0-9]*) ;;
*)
	# A remembered reading that is hardly older than now, or not older at all, is of no use.
	if [ -z "$known" ] || [ "$known" != "$boot" ] || [ "$up" -lt "$((since + 2))" ]; then
		grep -s -E "$counters" /dev/null uptime stat diskstats "$@" 2>/dev/null
		sleep "$pause" 2>/dev/null || sleep "$whole"
		printf 'again\t\n'
	fi
	;;
esac
# ZFS's cache is told in a container too, where it is the host's: lxcfs shows which memory is the container's own.
[ -e spl/kstat/zfs/arcstats ] && set -- "$@" spl/kstat/zfs/arcstats mounts
grep -s -E "$counters"'|^some |^size |^(MemTotal|MemFree|MemAvailable|Buffers|Cached|Shmem|SReclaimable|SwapTotal|SwapFree):|^lxcfs [^ ]*meminfo ' \
	/dev/null uptime stat diskstats loadavg meminfo pressure/cpu pressure/memory pressure/io "$@" 2>/dev/null

# Only the root file system, so that no dead server of another one can hold us up; or all local ones by their type,
# each device once. Images (squashfs, iso9660) are always full, and a file system in memory or one that shows
# another's files (overlay) is no disk.
set -- /
if [ -n "$all" ] && [ -r mounts ]; then
	here=' ext2 ext3 ext4 xfs btrfs zfs bcachefs f2fs jfs nilfs2 reiserfs reiser4 vfat msdos exfat ntfs ntfs3 fuseblk hfs hfsplus ufs '
	kinds="ext[234]|xfs|btrfs|zfs|bcachefs|f2fs|jfs|nilfs2|reiserfs|reiser4|vfat|msdos|exfat|ntfs3?|hfs(plus)?|ufs"
	kinds="$kinds|nfs4?|cifs|smb[0-9a-z]*|ncpfs|afs|coda|ceph|gfs2?|ocfs2|lustre|beegfs|9p|virtiofs|autofs|fuse[^ ]*"
	lines=$(grep -E "^[^ ]+ [^ ]+ ($kinds) " mounts 2>/dev/null)
	# No file name is to be made of their stars.
	set -f
	o=$IFS
	IFS=$nl
	# What lies under another server's file system, or behind it, is not looked at: it may hang.
	remote=
	for v in $lines; do
		v=${v#* }
		a=${v%% *}
		v=${v#* }
		case $here in *" ${v%% *} "*) ;; *) [ "$a" = / ] || remote="$remote$nl$a" ;; esac
	done
	seen=' ' i=0
	for v in $lines; do
		b=${v%% *}
		v=${v#* }
		a=${v%% *}
		v=${v#* }
		case $here in *" ${v%% *} "*) ;; *) continue ;; esac
		if [ "$a" = / ]; then
			seen="$seen$b "
			printf 'mount\t%s\t/\n' "$b"
			continue
		fi
		# A snapshot of ZFS has its data set's files.
		case $b in *@*) continue ;; esac
		case $seen in *" $b "*) continue ;; esac
		for c in $remote; do
			case $a in "$c" | "$c"/*) continue 2 ;; esac
		done
		i=$((i + 1))
		if [ "$i" -gt 200 ]; then printf 'more\t\n'; break; fi
		seen="$seen$b "
		printf 'mount\t%s\t%s\n' "$b" "$a"
		# The kernel writes blanks, line ends and backslashes as \ooo, printf wants \0ooo.
		case $a in
		*\\*)
			n=
			while :; do
				case $a in *\\*) n="$n${a%%\\*}\\0" a=${a#*\\} ;; *) break ;; esac
			done
			a=$(printf '%bx' "$n$a")
			a=${a%x}
			;;
		esac
		set -- "$@" "$a"
	done
	IFS=$o
	set +f
fi
printf 'df\t\n'
df -P -k "$@" 2>/dev/null
:
