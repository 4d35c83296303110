# What `--if-idle` asks besides, after need.sh and due.sh: how often the host has slept, a disk's test of itself.

f sleeps /sys/power/suspend_stats/success

# A disk that tests itself. Who sleeps is not woken for the question, which only root may ask.
if has /usr/sbin/smartctl /sbin/smartctl; then
	c=$v d=
	[ "$uid" = 0 ] || d=${sudo:-none}
	[ "$d" = none ] || [ -n "$d" ] && [ "$rights" != yes ] || for o in /sys/block/*/device; do
		[ -e "$o" ] || continue
		a=${o%/device} a=${a##*/}
		# Others are no disks that could test themselves.
		case $a in *[!A-Za-z0-9]*) continue ;; sd* | hd* | nvme*) ;; *) continue ;; esac
		v=$(LC_ALL=C timeout 3 ${d:+"$d" -n} "$c" -n standby -c -l selftest "/dev/$a" 2>/dev/null </dev/null)
		case $v in
		*'No self-test in progress'*) ;;
		*'Self-test routine in progress'* | *'elf-test in progress'*) p work "a test of the disk $a" ;;
		esac
	done
fi
:
