# Arms one power call, `$call`, that fires about two seconds later, when the session has ended. All is decided before
# anything is sent, and only one thing is sent, once: what fails then is told, and nothing else is tried.
nl='
'
answer() { printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }

way "$call"
if [ -n "$why" ]; then
	[ "$why" = no-rights ] && answer user "$(id -un 2>/dev/null)" "$rights"
	answer refused "$why" "$detail"
elif [ -n "$run" ]; then
	if v=$($as $run $cmd 2>&1 </dev/null); then
		answer armed "$by" "$cmd"
	else
		answer refused failed "${v%%"$nl"*}"
	fi
else
	has /usr/bin/setsid /bin/setsid || has /usr/bin/nohup /bin/nohup
	$v sh -c "trap '' HUP; sleep 2; ${feed:+echo $feed | }$as $cmd" </dev/null >/dev/null 2>&1 &
	answer armed "$by" "$cmd"
fi
:
