# What a Proxmox VE host says of itself and its cluster's CA: node, version, the CA's certificate, then after `leaf` the
# administrator's own, if there is one. Changes nothing.
l=$(readlink /etc/pve/local 2>/dev/null) && printf 'node\t%s\n' "${l##*/}"
if command -v dpkg-query >/dev/null 2>&1; then
	v=$(dpkg-query -W -f='${Status} ${Version}' pve-manager 2>/dev/null)
	# What was removed has left its status behind.
	case $v in *' installed '*) printf 'version\t%s\n' "${v##* }" ;; esac
fi
show() {
	if [ -r "$1" ]; then
		cat "$1"
	elif [ -x /usr/sbin/pveum ]; then
		# Elsewhere nobody wants to hear of a refused sudo.
		sudo -n -- cat "$1"
	fi
}
show /etc/pve/pve-root-ca.pem
# Where there is a certificate of the administrator's with its key, it is the one that is served.
if [ -e /etc/pve/local/pveproxy-ssl.pem ] && [ -e /etc/pve/local/pveproxy-ssl.key ]; then
	printf 'leaf\t\n'
	show /etc/pve/local/pveproxy-ssl.pem
fi
