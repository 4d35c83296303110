#!/bin/sh
# df -P -k [MOUNT...] from `.sim/df`, whose lines are `MOUNT<TAB>what df prints`; who was asked for stands in
# `.sim/df-asked`.
root=@ROOT@
[ "${1-} ${2-}" = '-P -k' ] || { echo "simulator: df $*: only df -P -k is known" >&2; exit 1; }
shift 2
echo 'Filesystem     1024-blocks     Used Available Capacity Mounted on'
for path; do
	case $path in *[[:cntrl:]]*) path=$(printf '%s' "$path" | tr '\001-\037' '?') ;; esac
	printf '%s\n' "$path"
done >"$root/.sim/df-now.$$"
@AWK@ -F '\t' 'NR == FNR { line[$1] = $2; next } $0 in line { print line[$0]; next }
	{ print "df: " $0 ": No such file or directory" >"/dev/stderr"; failed = 1 } END { exit failed }' \
	"$root/.sim/df" "$root/.sim/df-now.$$"
result=$?
cat "$root/.sim/df-now.$$" >>"$root/.sim/df-asked"
rm -f "$root/.sim/df-now.$$"
exit $result
