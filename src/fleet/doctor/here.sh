# What this machine says of itself: whether its clock is kept right, and what runs `ecobox discover` regularly. One
# `key<TAB>value` a line. Nothing here writes, asks, or waits for input.
v=$(timedatectl show -p NTPSynchronized --value 2>/dev/null </dev/null) && printf 'synchronised\t%s\n' "$v"
crontab -l 2>/dev/null </dev/null | while IFS= read -r v; do
	case $v in \#*) ;; *ecobox*discover*) printf 'cron\t%s\n' "$v" ;; esac
done
for a in user system; do
	v=$(systemctl --$a is-enabled ecobox-discover.timer 2>/dev/null </dev/null)
	[ "$v" = enabled ] && printf 'timer\t%s\n' "$a"
done
IFS=. read -r v a </proc/uptime 2>/dev/null && printf 'up\t%s\n' "$v"
:
