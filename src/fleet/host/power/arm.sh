# Arms Wake-on-LAN by magic packet on the port `$nic`, and reads it back. It holds until the next boot at least.
p() { printf '%s\t%s\n' "$1" "$2"; }
rights_here
if ! has /usr/sbin/ethtool /sbin/ethtool /usr/bin/ethtool; then
	p failed 'ethtool is not installed there'
elif ethtool=$v; [ "$uid" != 0 ] && [ "$rights" = none ]; then
	p failed 'no rights: the login is not root, and there is no sudo'
else
	as=
	[ "$uid" = 0 ] || as="$sudo -n --"
	if v=$($as "$ethtool" -s "$nic" wol g 2>&1 </dev/null); then
		# What ethtool prints begins with a tab.
		$as "$ethtool" "$nic" 2>/dev/null </dev/null
	else
		telling "$v"
		p failed "$told"
	fi
fi
:
