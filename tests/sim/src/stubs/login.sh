#!/bin/sh
# What a login does: $1 is its name, $SSH_ORIGINAL_COMMAND what it runs. The russh server calls it, and so does
# sshd by ForceCommand. @ROOT@ is the folder that plays the host's root.
root=@ROOT@
[ -r "$root/.sim/logins/$1" ] || { echo "no such login: $1" >&2; exit 255; }
SIM_USER=$1
read -r SIM_UID SIM_RIGHTS <"$root/.sim/logins/$1"
if [ "$SIM_UID" = 0 ]; then PATH=$root/usr/sbin:$root/usr/bin; else PATH=$root/usr/bin; fi
export SIM_USER SIM_UID SIM_RIGHTS PATH
HOME=$root/tmp USER=$1 LOGNAME=$1
export HOME USER LOGNAME
# As sshd and pam_systemd set them.
SSH_CONNECTION="10.9.9.9 50022 192.168.1.10 22"
[ -d "$root/run/systemd/system" ] && XDG_SESSION_ID=77 && export XDG_SESSION_ID
export SSH_CONNECTION
cd "$root/tmp" || exit 255

if [ -e "$root/.sim/hang" ]; then
	while [ -e "$root/.sim/hang" ]; do @SLEEP@ 0.2; done
	exit 255
fi
[ -s "$root/.sim/delay" ] && read -r delay <"$root/.sim/delay" && @SLEEP@ "$delay"
[ -s "$root/.sim/noise-before" ] && cat "$root/.sim/noise-before"

command=$(printf '%s\n' "$SSH_ORIGINAL_COMMAND" | sh --rewrite)
unset SSH_ORIGINAL_COMMAND
if [ "$SIM_UID" != 0 ] && [ -e "$root/.sim/drop" ]; then
	# Whoever runs the tests as root would read every file: without this capability the modes count.
	@SETPRIV@ --bounding-set=-dac_override,-dac_read_search @SH@ -c "$command"
else
	@SH@ -c "$command"
fi
status=$?
[ -s "$root/.sim/noise-after" ] && cat "$root/.sim/noise-after"
exit $status
