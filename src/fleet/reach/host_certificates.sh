# What a Proxmox VE host says of itself and its cluster's CA: node, version, the CA's certificate, then after `leaf` the
# administrator's own, if there is one, and after `nodes` those that the other nodes serve. Changes nothing.
l=$(readlink /etc/pve/local 2>/dev/null) && printf 'node\t%s\n' "${l##*/}"
if command -v dpkg-query >/dev/null 2>&1; then
	v=$(dpkg-query -W -f='${Status} ${Version}' pve-manager 2>/dev/null)
	# What was removed has left its status behind.
	case $v in *' installed '*) printf 'version\t%s\n' "${v##* }" ;; esac
fi
readable=
show() {
	if [ -r "$1" ]; then
		cat "$@"
	elif [ -x /usr/sbin/pveum ]; then
		# Elsewhere nobody wants to hear of a refused sudo.
		sudo -n -- cat "$@"
	fi
}
show /etc/pve/pve-root-ca.pem && readable=1
# Where there is a certificate of the administrator's with its key, it is the one that is served.
if [ -e /etc/pve/local/pveproxy-ssl.pem ] && [ -e /etc/pve/local/pveproxy-ssl.key ]; then
	printf 'leaf\t\n'
	show /etc/pve/local/pveproxy-ssl.pem
fi
# Whom it knows as its fellows: who says to be one of them has to be here.
set --
for n in /etc/pve/nodes/*; do
	[ "${n##*/}" != "${l##*/}" ] || continue
	f=$n/pveproxy-ssl.pem
	[ -e "$f" ] || f=$n/pve-ssl.pem
	[ ! -e "$f" ] || set -- "$@" "$f"
done
if [ -n "$readable" ] && [ "$#" -gt 0 ]; then
	printf 'nodes\t\n'
	show "$@"
fi
