# How hard this host works. Lines `key<TAB>value`, lines `file:text` of /proc and /sys as grep prints them, and at
# the end what df says. What cannot be had is left out. Before this text stand the variables
#   known  the boot id of the reading that the caller remembers, or nothing
#   since  the uptime from which on that reading can be compared with, in hundredths of a second
#   pause  how long to measure where that reading cannot be used, in seconds
#   whole  the same in whole seconds, for a sleep that knows no others
# and after it, where all file systems are wanted, the text of load_mounts.sh; at last df.
#
# One grep reads all files at once and leaves out what nobody wants, as the line of interrupts. So there are two
# processes, df being the other; two more where it must be measured. Nothing here writes or waits for input, and
# nothing needs rights. No `exit`: the text runs inside braces.

# Relative from here on, so that the answer's file names are short.
cd /proc/ 2>/dev/null || cd /
# The first line of a file is in $v.
f() { v=; [ -r "$1" ] && IFS= read -r v < "$1"; } 2>/dev/null

f sys/kernel/random/boot_id
boot=$v
printf 'boot\t%s\n' "$boot"
f uptime
up=${v%% *}
up=${up%.*}${up#*.}

# Physical ports: only they have a device behind them. Not what is handed to guests (SR-IOV functions). What passes
# a bridge, a bond, a VLAN or a tap has passed one of them, or did not leave the host. Where one port lies on another
# (a switch's ports on the CPU's, Hyper-V's synthetic port on a function of the card) both count the same bytes: the
# upper ones are read.
below=" "
for d in ../sys/class/net/*; do
	[ -e "$d/device" ] || continue
	for v in "$d"/lower_*; do below="$below${v##*/lower_} "; done
done
set --
ports=
for d in ../sys/class/net/*; do
	[ -e "$d/device" ] || continue
	[ -e "$d/device/physfn" ] && continue
	[ -e "$d/master/device" ] && continue
	case $below in *" ${d##*/} "*) continue ;; esac
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

# The energy counters of the CPU: of its packages, its memory and the board. Cores are a part of a package, and
# intel-rapl-mmio counts the same again. Only root may read them. A power meter of ACPI is of the whole host; other
# sensors of watts are of a part of it. Where its files stand depends on the kernel.
rapl=
for d in ../sys/class/powercap/intel-rapl:*; do
	f "$d/name"
	case $v in package-* | dram | psys) ;; *) continue ;; esac
	if [ -r "$d/energy_uj" ]; then
		rapl=1
		set -- "$@" "$d/name" "$d/energy_uj" "$d/max_energy_range_uj"
	else
		printf 'energy\t%s\n' "$v"
	fi
done
[ -z "$rapl" ] || set -- "$@" ../sys/power/suspend_stats/success
meters=
for d in ../sys/class/hwmon/*; do
	for d in "$d" "$d/device"; do
		f "$d/name"
		[ "$v" = power_meter ] || continue
		f "$d/power1_is_battery"
		[ "$v" != 1 ] || continue
		for v in power1_average power1_input; do
			[ -r "$d/$v" ] && meters="$meters $d/$v" && break 2
		done
	done
done

# One reading: the time first, then what it is for. /dev/null makes grep name its files even where there is one.
# A number alone is a port's counter.
counters="^[0-9]+\$|^[0-9]+\.[0-9]+ |^cpu |^cpu[0-9]+ $disks|^package-|^dram\$|^psys\$"
case $since in '' | *[!0-9]*) known= ;; esac
case $up in
'' | *[!0-9]*) ;;
*)
	# A remembered reading that is hardly older than now, or not older at all, is of no use.
	if [ -z "$known" ] || [ "$known" != "$boot" ] || [ "$up" -lt "$since" ]; then
		grep -s -E "$counters" /dev/null uptime stat diskstats "$@" 2>/dev/null
		sleep "$pause" 2>/dev/null || sleep "$whole"
		printf 'again\t\n'
	fi
	;;
esac
# ZFS's cache is told in a container too, where it is the host's: lxcfs shows which memory is the container's own.
# The folders are the kernel's own names, without blanks.
set -- "$@" $meters
[ -e spl/kstat/zfs/arcstats ] && set -- "$@" spl/kstat/zfs/arcstats mounts
grep -s -E "$counters"'|^some |^size |^(MemTotal|MemFree|MemAvailable|Buffers|Cached|Shmem|SReclaimable|SwapTotal|SwapFree):|^lxcfs [^ ]*meminfo ' \
	/dev/null uptime stat diskstats loadavg meminfo pressure/cpu pressure/memory pressure/io "$@" 2>/dev/null

# Only the root file system, so that no dead server of another one can hold us up.
set -- /
