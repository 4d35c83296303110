# Facts of this host, one `key<TAB>value` a line; two kinds of lines are other programs' own: those of
# `ip -o addr` begin with a digit, those of ethtool with a tab. A fact that cannot be had is left out.
#
# Shell builtins do the work: each program started costs more than all the reading. On a plain Debian that is
# one `ip`, and as root one `ethtool` for each port. Nothing here writes, asks or waits for input.
# No `exit`: the text runs inside braces. Absolute paths stand at the beginning of a word.

nl='
'
p() { printf '%s\t%s\n' "$1" "$2"; }
# p with the first line of a file, which stays in $v
f() { v=; [ -r "$2" ] && IFS= read -r v < "$2"; [ -n "$v" ] && p "$1" "$v"; } 2>/dev/null

for o in /etc/os-release /usr/lib/os-release; do
	[ -r "$o" ] || continue
	while IFS= read -r v || [ -n "$v" ]; do
		case $v in PRETTY_NAME=*) p os "${v#*=}" ;; esac
	done < "$o"
	break
done
f system /proc/sys/kernel/ostype
if [ -n "$v" ]; then
	f kernel /proc/sys/kernel/osrelease
	f hostname /proc/sys/kernel/hostname
else
	v=$(uname -s -n -r 2>/dev/null) && p uname "${v%%"$nl"*}"
fi
f machine /etc/machine-id
[ -n "$v" ] || f machine /var/lib/dbus/machine-id
f boot /proc/sys/kernel/random/boot_id

uid=
if [ -r /proc/self/status ]; then
	while read -r a b c d; do
		case $a in Uid:) uid=$c; break ;; esac
	done < /proc/self/status
fi
[ -n "$uid" ] || uid=$(id -u 2>/dev/null)
p uid "$uid"

# Which Proxmox product. dpkg-query takes milliseconds, pveversion (Perl) half a second; neither runs where
# nothing hints at Proxmox.
hint=
for o in /etc/pve /usr/bin/pveversion /var/lib/dpkg/info/pve-manager.list \
	/etc/proxmox-backup /var/lib/dpkg/info/proxmox-backup-server.list \
	/etc/pmg /var/lib/dpkg/info/pmg-api.list /var/lib/dpkg/info/proxmox-mailgateway.list \
	/etc/proxmox-datacenter-manager /var/lib/dpkg/info/proxmox-datacenter-manager.list; do
	[ -e "$o" ] && hint=1
done
if [ -n "$hint" ]; then
	pve=
	if [ -x /usr/bin/dpkg-query ]; then
		v=$(/usr/bin/dpkg-query -W -f='pkg\t${Package} ${Status} ${Version}\n' pve-manager proxmox-backup-server \
			proxmox-mailgateway pmg-api proxmox-datacenter-manager 2>/dev/null)
		[ -n "$v" ] && printf '%s\n' "$v"
		case $v in *pve-manager\ *\ ok\ installed\ *) pve=1 ;; esac
		p dpkg yes
	fi
	if [ -z "$pve" ] && [ -x /usr/bin/pveversion ]; then
		v=$(/usr/bin/pveversion 2>/dev/null)
		p pveversion "${v%%"$nl"*}"
	fi
	f pveversionfile /etc/pve/version
	# The link exists while pmxcfs is mounted; anybody may read it. Its owner may "write" it while there is quorum.
	if [ -L /etc/pve/local ]; then
		if cd -P /etc/pve/local 2>/dev/null; then v=$PWD; cd /; else v=$(readlink /etc/pve/local 2>/dev/null); fi
		p local "$v"
		v=$(/usr/bin/stat -c %a /etc/pve/local 2>/dev/null) && p localmode "$v"
	fi
fi

f sleep /sys/power/state
if [ -d /run/systemd/system ]; then
	masked=no
	for o in /etc/systemd/system/sleep.target /run/systemd/system/sleep.target \
		/etc/systemd/system/suspend.target /run/systemd/system/suspend.target; do
		[ -e "$o" ] && ! [ -s "$o" ] && masked=yes
	done
	p masked "$masked"
fi

has /usr/sbin/ip /usr/bin/ip /sbin/ip /bin/ip
ip=$v
has /usr/sbin/ethtool /sbin/ethtool /usr/bin/ethtool
ethtool=$v
sudo= asks=
if [ "$uid" != 0 ]; then
	rights=none
	has /usr/bin/sudo /usr/local/bin/sudo /run/wrappers/bin/sudo && sudo=$v rights=untried
fi

# Physical ports: only they have a device behind them. Not what is handed to guests (SR-IOV functions).
for d in /sys/class/net/*; do
	[ -e "$d/device" ] || continue
	[ -e "$d/device/physfn" ] && continue
	f type "$d/type"
	case $v in '' | 1) ;; *) continue ;; esac
	n=${d##*/}
	p nic "$n"
	f mac "$d/address"
	# A bond gives all its ports one address, and an administrator may set another: the card wakes by its own.
	f perm "$d/bonding_slave/perm_hwaddr"
	if [ -z "$v" ] && [ -n "$ethtool" ]; then
		f assigned "$d/addr_assign_type"
		[ "$v" = 3 ] && v=$("$ethtool" -P "$n" 2>/dev/null) && p perm "${v##* }"
	fi
	f carrier "$d/carrier"
	f operstate "$d/operstate"
	if cd -P "$d/master" 2>/dev/null; then p master "${PWD##*/}"; cd /; fi
	if [ -z "$ethtool" ]; then
		:
	elif [ "$uid" = 0 ]; then
		"$ethtool" "$n" 2>/dev/null
	elif [ "$rights" = untried ] && [ -z "$asks" ]; then
		# Who may run this may not run everything.
		"$sudo" -n -- "$ethtool" "$n" 2>/dev/null || asks=1
	fi
done
if [ "$uid" != 0 ]; then
	if [ "$rights" = untried ]; then
		if "$sudo" -n -- true >/dev/null 2>&1; then rights=yes; else rights=no; fi
	fi
	p sudo "$rights"
fi

# The default route's interface, and what lies below it (a bridge's ports, a bond's, a VLAN's). The kernel lists
# the default first; a router's table may have a million lines.
todo=
best=
if [ -r /proc/net/route ]; then
	i=0
	while read -r a b c d o o metric mask o && [ "$i" -lt 200 ]; do
		i=$((i + 1))
		case $b-$mask in
		00000000-00000000)
			case $metric in '' | *[!0-9]*) metric=0 ;; esac
			if [ -z "$best" ] || [ "$metric" -lt "$best" ]; then best=$metric todo=$a; fi
			;;
		*-00000000) ;;
		*) [ -z "$ip" ] && [ "$c" = 00000000 ] && p net "$a $b $mask" ;;
		esac
	done < /proc/net/route
fi
if [ -z "$todo" ] && [ -n "$ip" ]; then
	v=$("$ip" -6 route show default 2>/dev/null)
	v=${v%%"$nl"*}
	case $v in *' dev '*) v=${v#* dev } todo=${v%% *} ;; esac
fi
i=0
while [ -n "$todo" ] && [ "$i" -lt 64 ]; do
	i=$((i + 1))
	a=${todo%% *}
	case $todo in *' '*) todo=${todo#* } ;; *) todo= ;; esac
	p route "$a"
	for o in /sys/class/net/"$a"/lower_*; do
		o=${o##*/lower_}
		case $o in '*' | tap* | veth* | fwpr* | fwln*) ;; *) todo="$todo${todo:+ }$o" ;; esac
	done
	# Open vSwitch's bridges do not show their ports: they all lie below ovs-system, and the bridge has the address of one.
	if [ -z "$todo" ] && [ "$a" != ovs-system ] &&
		! [ -e /sys/class/net/"$a"/device ] && ! [ -e /sys/class/net/"$a"/tun_flags ]; then
		v= same=
		[ -r /sys/class/net/"$a"/address ] && IFS= read -r v < /sys/class/net/"$a"/address
		for o in /sys/class/net/ovs-system/lower_*; do
			n=${o##*/lower_}
			[ "$n" != '*' ] && IFS= read -r b < /sys/class/net/"$n"/address && [ "$b" = "$v" ] && same=$n
		done 2>/dev/null
		if [ -n "$same" ]; then todo=$same; elif [ -e /sys/class/net/ovs-system ]; then todo=ovs-system; fi
	fi
done

if [ -n "$ip" ]; then
	"$ip" -o addr 2>/dev/null
else
	i=0
	[ -r /proc/net/fib_trie ] && while read -r a b c d && [ "$i" -lt 2000 ]; do
		i=$((i + 1))
		case "$a $b $c" in
		'|-- '*) v=$b ;;
		'/32 host LOCAL') p local4 "$v" ;;
		esac
	done < /proc/net/fib_trie
	[ -r /proc/net/if_inet6 ] && while IFS= read -r v; do p inet6 "$v"; done < /proc/net/if_inet6
fi
:
