# Holds a lock of logind's against sleep for as long as the input goes on and somebody is heard there. `why` says what
# for, `mark` names the line that says that the lock is held. It runs after has.sh, sudo.sh and lock.sh. Without logind
# nothing is held: nobody would look for a lock.

LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export LC_ALL PATH

# In the lock: one that has heard nothing for a quarter of an hour ends, as the connection may be gone without a word.
inner='echo "$0 held"
while [ -n "$(timeout 900 head -n 1 2>/dev/null)" ]; do :; done'

if ! [ -d /run/systemd/system ] && ! [ -e /run/elogind.pid ]; then
	echo no-logind
elif has /usr/bin/systemd-inhibit /bin/systemd-inhibit /usr/bin/elogind-inhibit /bin/elogind-inhibit; then
	with_rights "$v" $lock --why="$why" sh -c "$inner" "$mark" 2>&1
else
	echo "it has no systemd-inhibit"
fi
