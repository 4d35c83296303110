#!/bin/sh
# Lets $1 seconds pass on the host: its clock and its counters move by what stands in .sim/pace for each second.
root=@ROOT@
seconds=$1
change() { # file, awk program
	[ -f "$1" ] || return 0
	@AWK@ -v t="$seconds" -v name="$name" -v a="$a" -v b="$b" -v c="$c" -v d="$d" "$2" "$1" >"$1.new.$$" &&
		mv -f "$1.new.$$" "$1"
}
name='' a=0 b=0 c=0 d=0
change "$root/proc/uptime" '{ printf "%.2f %.2f\n", $1 + t, $2 + t }'
[ -r "$root/.sim/pace" ] && while read -r what name a b c d; do
	case $what in
	cpu)
		change "$root/proc/stat" '$1 == "cpu" {
			$2 = sprintf("%.0f", $2 + a * t); $4 = sprintf("%.0f", $4 + b * t)
			$5 = sprintf("%.0f", $5 + c * t); $6 = sprintf("%.0f", $6 + d * t)
		} { print }' ;;
	port)
		folder=$root/sys/class/net/$name/statistics
		change "$folder/rx_bytes" '{ printf "%.0f\n", $1 + a * t }'
		change "$folder/tx_bytes" '{ printf "%.0f\n", $1 + b * t }' ;;
	disk)
		change "$root/proc/diskstats" '$3 == name {
			$6 = sprintf("%.0f", $6 + a * t / 512); $10 = sprintf("%.0f", $10 + b * t / 512)
		} { print }' ;;
	esac
done <"$root/.sim/pace"
# Energy counters: folder, watts, and where they begin again at 0.
[ -r "$root/.sim/energy" ] && while read -r name a b; do
	change "$root/sys/class/powercap/$name/energy_uj" '{ v = $1 + a * 1e6 * t; while (v > b) v -= b; printf "%.0f\n", v }'
done <"$root/.sim/energy"
exit 0
