#!/bin/sh
# The host's sh: the real one, with the absolute paths of the script led into the host's root.
root=@ROOT@
rules=$root/.sim/rewrite-$SIM_UID
case ${1-} in
--rewrite) exec sed -E -f "$rules" ;;
'' | -s | -[a-z]s)
	# Input that goes on after the script is not kept back.
	sed -E ${2:+-u} -f "$rules" | @SH@ "${@:--s}"
	exit $?
	;;
-c)
	shift
	command=$(printf '%s\n' "${1-}" | sed -E -f "$rules")
	[ $# -gt 0 ] && shift
	exec @SH@ -c "$command" "$@"
	;;
esac
exec @SH@ "$@"
