# What says whether the host could sleep and be woken again, also after its next boot. It runs after the look before a
# power call, whose variables and functions it uses.
# Nothing here writes, asks, or waits for input. Absolute paths stand at the beginning of a word.

f memsleep /sys/power/mem_sleep
if has /usr/bin/systemd-detect-virt /bin/systemd-detect-virt; then
	v=$("$v" 2>/dev/null </dev/null)
	p virt "${v%%"$nl"*}"
elif [ -r /proc/cpuinfo ]; then
	while IFS= read -r v; do
		case $v in flags*' hypervisor'*) p virt hypervisor; break ;; esac
	done < /proc/cpuinfo
fi

# Since when the processes run that hold locks: each number of the list that is a process.
if [ -n "$inhibit" ]; then
	[ -r /proc/uptime ] && read -r a b < /proc/uptime && p uptime "$a"
	set -f
	for o in $inhibit; do
		case $o in '' | *[!0-9]*) continue ;; esac
		v=
		for d in /proc/"$o"; do [ -r "$d/stat" ] && IFS= read -r v < "$d/stat"; done
		case $v in *') '*) ;; *) continue ;; esac
		set -- ${v##*) }
		[ "$#" -ge 20 ] && p since "$o ${20}"
	done
	set +f
fi

# systemd's files for network cards, with the place of their folder.
i=0
for d in /etc/systemd/network /run/systemd/network /usr/local/lib/systemd/network /usr/lib/systemd/network \
	/lib/systemd/network; do
	i=$((i + 1))
	for o in "$d"/*.link "$d"/*.link.d/*.conf; do
		[ -e "$o" ] || [ -L "$o" ] || continue
		if [ -f "$o" ] && ! [ -r "$o" ]; then p linkshut "$i ${o#"$d"/}"; continue; fi
		p link "$i ${o#"$d"/}"
		[ -f "$o" ] && while IFS= read -r v || [ -n "$v" ]; do
			v=${v#"${v%%[![:space:]]*}"}
			case $v in '' | \#* | \;*) ;; *) p linkline "$v" ;; esac
		done < "$o"
	done
done
udevadm= nmcli=
has /usr/bin/udevadm /bin/udevadm /sbin/udevadm && udevadm=$v
has /usr/bin/nmcli && nmcli=$v
for d in /sys/class/net/*; do
	[ -e "$d/device" ] || continue
	n=${d##*/}
	if cd -P "$d/device/driver" 2>/dev/null; then p driver "$n ${PWD##*/}"; cd /; fi
	[ -n "$udevadm" ] && "$udevadm" info -q property -p "$d" 2>/dev/null </dev/null | while IFS= read -r v; do
		case $v in
		ID_NET_LINK_FILE=*) p applied "$n ${v##*/}" ;;
		ID_NET_DRIVER=*) p driver "$n ${v#*=}" ;;
		esac
	done
	if [ -n "$nmcli" ]; then
		v=$("$nmcli" -g GENERAL.CONNECTION device show "$n" 2>/dev/null </dev/null)
		if [ -n "$v" ]; then
			p connection "$n $v"
			v=$("$nmcli" -g 802-3-ethernet.wake-on-lan connection show "$v" 2>/dev/null </dev/null) && p connectionwol "$n $v"
		fi
	fi
done
for o in /etc/NetworkManager/NetworkManager.conf /etc/NetworkManager/conf.d/*.conf; do
	[ -n "$nmcli" ] && [ -r "$o" ] && while IFS= read -r v || [ -n "$v" ]; do
		case $v in ethernet.wake-on-lan=*) p defaultwol "${v#*=}" ;; esac
	done < "$o"
done

# ifupdown, and whatever else runs ethtool at boot.
for o in /etc/network/interfaces /etc/network/interfaces.d/*; do
	[ -f "$o" ] && [ -r "$o" ] && while IFS= read -r v || [ -n "$v" ]; do
		case $v in *iface* | *ethernet-wol* | *wol*) p ifline "$v" ;; esac
	done < "$o"
done
for o in /usr/share/ifupdown2; do [ -e "$o" ] && p ifupdown2 yes; done
for o in /etc/network/if-up.d/ethtool /etc/network/if-pre-up.d/ethtool; do [ -e "$o" ] && p ifethtool yes; done
if has /usr/bin/grep /bin/grep; then
	a=$v
	set --
	for o in /etc/rc.local /etc/crontab /etc/cron.d/* /etc/systemd/system/*.service /etc/udev/rules.d/*.rules \
		/etc/network/if-up.d/* /etc/network/if-pre-up.d/* /etc/local.d/*.start /etc/NetworkManager/dispatcher.d/*; do
		[ -f "$o" ] && [ -r "$o" ] && set -- "$@" "$o"
	done
	b=
	[ "$#" -gt 0 ] && b=$("$a" -slE 'wol[[:space:]"]+[a-z]*g' "$@" </dev/null)
	while IFS= read -r o; do
		[ -n "$o" ] && while IFS= read -r v || [ -n "$v" ]; do
			case $v in \#*) ;; *wol*) p armer "${o##*/} $v" ;; esac
		done < "$o"
	done <<X
$b
X
fi
for o in /etc/systemd/system/*.wants/*.service; do
	if [ -e "$o" ] || [ -L "$o" ]; then p wanted "${o##*/}"; fi
done
for o in /usr/sbin/tlp /usr/bin/tlp; do [ -e "$o" ] && p tlp yes; done
for o in /etc/tlp.d/*.conf /etc/tlp.conf; do
	[ -r "$o" ] && while IFS= read -r v || [ -n "$v" ]; do
		case $v in WOL_DISABLE=*) p tlpwol "${v#*=}" ;; esac
	done < "$o"
done
for o in perl python3 etherwake ether-wake wakeonlan; do
	has /usr/bin/"$o" /usr/sbin/"$o" && p sender "$o"
done
:
