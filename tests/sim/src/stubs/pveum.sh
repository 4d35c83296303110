#!/bin/sh
# Asks the simulator: a line on one FIFO, the answer in files, their completion on another FIFO.
root=@ROOT@
case ${LC_ALL:-${LC_CTYPE:-${LANG:-C}}} in
C | POSIX) utf8=0 ;;
C.UTF-8 | C.utf8 | en_US.UTF-8) utf8=1 ;;
*)
	utf8=0
	quoted() { if [ -n "$1" ]; then printf '"%s"' "$1"; else printf '(unset)'; fi; }
	{
		printf 'perl: warning: Setting locale failed.\nperl: warning: Please check that your locale settings:\n'
		printf '\tLANGUAGE = (unset),\n\tLC_ALL = %s,\n\tLANG = %s\n' "$(quoted "$LC_ALL")" "$(quoted "$LANG")"
		printf '    are supported and installed on your system.\n'
		printf 'perl: warning: Falling back to the standard locale ("C").\n'
	} >&2
	;;
esac
if [ "$SIM_UID" != 0 ]; then cat "$root/.sim/pve-plain" >&2; exit 255; fi
if [ -e "$root/.sim/pmxcfs-down" ]; then
	for i in 1 2 3; do echo "ipcc_send_rec[$i] failed: Connection refused" >&2; done
	echo "Unable to load access control list: Connection refused" >&2
	exit 111
fi
separator=$(printf '\037')
newline='
'
reply=$root/.sim/reply.$$
line="$reply$separator$utf8"
for arg; do
	case $arg in *"$newline"*) arg=$(printf '%s' "$arg" | tr '\n' '\036') ;; esac
	line=$line$separator$arg
done
if [ ${#line} -gt 4000 ]; then echo "simulator: the command line is too long" >&2; exit 255; fi
mkfifo "$reply" && exec 3<>"$reply" || exit 255
if ! [ -p "$root/.sim/requests" ]; then echo "simulator: gone" >&2; rm -f "$reply"; exit 255; fi
printf '%s\n' "$line" >"$root/.sim/requests"
read -r code <&3
cat "$reply.out"
cat "$reply.err" >&2
rm -f "$reply" "$reply.out" "$reply.err"
exit "$code"
