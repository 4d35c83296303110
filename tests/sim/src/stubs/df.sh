#!/bin/sh
# df -P -k [MOUNT...] from `.sim/df`, whose lines are `MOUNT<TAB>what df prints`; who was asked for stands in
# `.sim/df-asked`.
root=@ROOT@
tab=$(printf '\t')
[ "${1-} ${2-}" = '-P -k' ] || { echo "simulator: df $*: only df -P -k is known" >&2; exit 1; }
shift 2
echo 'Filesystem     1024-blocks     Used Available Capacity Mounted on'
result=0
for path; do
	name=$(printf '%s' "$path" | tr '\001-\037' '?')
	printf '%s\n' "$name" >>"$root/.sim/df-asked"
	found=
	while IFS=$tab read -r mount line; do
		[ "$mount" = "$name" ] && found=1 && printf '%s\n' "$line" && break
	done <"$root/.sim/df"
	[ -n "$found" ] || { echo "df: $path: No such file or directory" >&2; result=1; }
done
exit $result
