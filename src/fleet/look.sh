# What a Proxmox VE host says of itself and its cluster's CA: node, version, then the certificate. Changes nothing.
l=$(readlink /etc/pve/local 2>/dev/null) && printf 'node\t%s\n' "${l##*/}"
if command -v dpkg-query >/dev/null 2>&1; then
	v=$(dpkg-query -W -f='${Status} ${Version}' pve-manager 2>/dev/null)
	# What was removed has left its status behind.
	case $v in *' installed '*) printf 'version\t%s\n' "${v##* }" ;; esac
fi
ca=/etc/pve/pve-root-ca.pem
if [ -r "$ca" ]; then
	cat "$ca"
elif [ -x /usr/sbin/pveum ]; then
	# Elsewhere nobody wants to hear of a refused sudo.
	sudo -n -- cat "$ca"
fi
