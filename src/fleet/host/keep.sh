# Has a host keep a lock against sleep without a connection, as a unit of systemd's named `unit`, for `seconds` if there are
# any; without `why` it ends it. It runs after has.sh, sudo.sh and lock.sh, and prints `held`, or why not.

if ! [ -d /run/systemd/system ]; then
	echo no-logind
elif ! has /usr/bin/systemctl /bin/systemctl; then
	echo "it has no systemctl"
elif [ -z "$why" ]; then
	with_rights "$v" stop "$unit.service"
elif systemctl=$v; ! has /usr/bin/systemd-run /bin/systemd-run; then
	echo "it has no systemd-run"
elif run=$v; ! has /usr/bin/systemd-inhibit /bin/systemd-inhibit; then
	echo "it has no systemd-inhibit"
elif said=$(with_rights "$run" --collect --unit="$unit" ${seconds:+-p RuntimeMaxSec="$seconds"} "$v" $lock --why="$why" sleep infinity 2>&1); then
	echo held
else
	telling "$said"
	echo "$told"
fi
