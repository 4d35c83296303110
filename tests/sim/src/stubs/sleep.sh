#!/bin/sh
# A short sleep passes on the host's own clock at once; a long one is waited for, as by who wants to be interrupted.
root=@ROOT@
[ -e "$root/.sim/whole-sleep" ] && case $1 in *.*) echo "sleep: invalid number '$1'" >&2; exit 1 ;; esac
"$root/.sim/advance" "$1"
case $1 in [0-5] | [0-4].*) exit 0 ;; esac
exec @SLEEP@ "$@"
