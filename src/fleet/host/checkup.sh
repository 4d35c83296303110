# What `doctor` asks besides. It runs after the look before a power call, whose variables and functions it uses.
# Nothing here writes, asks, or waits for input. Absolute paths stand at the beginning of a word.

if [ -n "$pve" ] && has /usr/bin/systemctl /bin/systemctl; then
	set -- pveproxy pvedaemon pvestatd
	v=$("$v" is-active "$@" 2>/dev/null </dev/null)
	while IFS= read -r a; do
		[ "$#" -gt 0 ] && [ -n "$a" ] && p service "$1 $a" && shift
	done <<X
$v
X
fi
# Who is of the cluster, and online; only root may read it.
[ -r /etc/pve/.members ] && p members "$(tr -d '\n' < /etc/pve/.members)"
# Whom pveproxy lets in.
[ -r /etc/default/pveproxy ] && while IFS= read -r v || [ -n "$v" ]; do
	case $v in ALLOW_FROM=* | DENY_FROM=* | POLICY=* | LISTEN_IP=*) p pveproxy "$v" ;; esac
done < /etc/default/pveproxy
:
