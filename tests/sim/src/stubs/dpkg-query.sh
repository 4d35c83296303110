#!/bin/sh
# dpkg-query -W [-f=FORMAT] PACKAGE...; the list has lines `package|status|version`.
root=@ROOT@
format='${Package}\t${Version}\n' names=
while [ $# -gt 0 ]; do
	case $1 in
	-f=* | --showformat=*) format=${1#*=} ;;
	-f) shift; format=$1 ;;
	-*) ;;
	*) names="$names $1" ;;
	esac
	shift
done
result=0
for name in $names; do
	line=$(grep "^$name|" "$root/.sim/packages")
	if [ -z "$line" ]; then
		echo "dpkg-query: no packages found matching $name" >&2
		result=1
		continue
	fi
	rest=${line#*|}
	status=${rest%|*} version=${rest##*|}
	printf '%b' "$(printf '%s' "$format" | sed -e "s|\${Package}|$name|g; s|\${Status}|$status|g; s|\${Version}|$version|g; s|\${db:Status-Status}|${status##* }|g")x" | sed '$s/x$//'
done
exit $result
