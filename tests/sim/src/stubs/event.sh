#!/bin/sh
# Tells the simulator what happened to the host ($1: suspend, hibernate, poweroff, reboot).
root=@ROOT@
[ -p "$root/.sim/requests" ] && printf 'event\037%s\n' "$1" >"$root/.sim/requests"
