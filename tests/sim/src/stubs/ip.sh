#!/bin/sh
# `ip addr` and `ip route` from files that the simulator wrote, in the forms that scripts ask for.
root=@ROOT@
form=plain family=
while [ $# -gt 0 ]; do
	case $1 in
	-j | -json) form=json ;;
	-o | -oneline) form=line ;;
	-4) family=4 ;;
	-6) family=6 ;;
	-*) ;;
	*) break ;;
	esac
	shift
done
object=${1-}
case $object in
a | addr | address)
	case $form$family in
	json*) cat "$root/.sim/ip/addr.json" ;;
	line4) grep ' inet ' "$root/.sim/ip/addr.line" ;;
	line6) grep ' inet6 ' "$root/.sim/ip/addr.line" ;;
	line) cat "$root/.sim/ip/addr.line" ;;
	*) cat "$root/.sim/ip/addr" ;;
	esac ;;
r | ro | route)
	if [ "$family" = 6 ]; then
		[ "$form" = json ] && echo '[]'
	elif [ "$form" = json ]; then cat "$root/.sim/ip/route.json"
	else
		case " $* " in
		*' default '*) grep '^default' "$root/.sim/ip/route" ;;
		*) cat "$root/.sim/ip/route" ;;
		esac
	fi
	exit 0 ;;
l | link) [ "$form" = json ] && cat "$root/.sim/ip/addr.json" || cat "$root/.sim/ip/addr" ;;
n | neigh) [ "$form" = json ] && echo '[]'; exit 0 ;;
*) exit 1 ;;
esac
