#!/bin/sh
# The few answers of pvesh that do not need an API.
root=@ROOT@
if [ "$SIM_UID" != 0 ]; then cat "$root/.sim/pve-plain" >&2; exit 255; fi
verb=${1-} path=${2-}
[ $# -ge 2 ] && shift 2
case "$verb $path" in
'get /version') cat "$root/.sim/version.json" ;;
'get /nodes') cat "$root/.sim/nodes.json" ;;
"get /nodes/$(cat "$root/etc/hostname")/status" | 'get /nodes/localhost/status') cat "$root/.sim/node-status.json" ;;
'create /access/users/'*/token/*)
	path=${path#/access/users/}
	exec "$root/usr/sbin/pveum" user token add "${path%%/*}" "${path##*/}" "$@"
	;;
'delete /access/users/'*/token/*)
	path=${path#/access/users/}
	exec "$root/usr/sbin/pveum" user token remove "${path%%/*}" "${path##*/}" "$@"
	;;
*) echo "No '$verb' handler defined for '$path'" >&2; exit 1 ;;
esac
