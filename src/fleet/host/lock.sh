# How locks against sleep are asked for. It stands after has.sh and sudo.sh.

# Not against a shutdown: one by an empty battery of a UPS must not wait for a lease.
lock="--what=sleep:idle --mode=block --who=ecobox"

# Runs a command as root, or says why not.
with_rights() {
	rights_here
	if [ "$uid" = 0 ]; then
		"$@"
	elif [ "$rights" != none ] && runs_free "$*"; then
		"$sudo" -n -- "$@"
	else
		echo "the login is not root, and sudo wants a password"
		return 1
	fi
}
