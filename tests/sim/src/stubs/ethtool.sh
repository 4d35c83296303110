#!/bin/sh
# Settings of a port (`.sim/ethtool/PORT`: a line `supported armed permanent-address`), and `-s PORT wol MODES`.
root=@ROOT@
case ${1-} in
-s | -P | -i) action=$1; shift ;;
*) action= ;;
esac
port=${1-}
file=$root/.sim/ethtool/$port
if ! [ -d "$root/sys/class/net/$port" ]; then echo "netlink error: No such device" >&2; exit 19; fi
read -r supported armed permanent <"$file" 2>/dev/null || supported= armed= permanent=
case $action in
-P) echo "Permanent address: ${permanent:-00:00:00:00:00:00}" ;;
-i) printf 'driver: %s\nversion: 6.8.12\nbus-info: 0000:03:00.0\n' igc ;;
-s)
	if [ "$SIM_UID" != 0 ]; then echo "netlink error: Operation not permitted" >&2; exit 1; fi
	[ "${2-}" = wol ] && echo "$supported $3 $permanent" >"$file" ;;
*)
	echo "Settings for $port:"
	if [ -e "$file" ]; then
		printf '\tSupported ports: [ TP ]\n\tSpeed: 1000Mb/s\n\tDuplex: Full\n\tAuto-negotiation: on\n'
		if [ "$SIM_UID" != 0 ]; then
			echo "netlink error: Operation not permitted" >&2
		else
			printf '\tSupports Wake-on: %s\n\tWake-on: %s\n' "$supported" "$armed"
		fi
	fi
	read -r carrier <"$root/sys/class/net/$port/carrier" 2>/dev/null || carrier=0
	printf '\tLink detected: %s\n' "$([ "$carrier" = 1 ] && echo yes || echo no)" ;;
esac
