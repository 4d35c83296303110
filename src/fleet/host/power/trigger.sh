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
		# The unit tells later whether it failed.
		case $v in
		*'service as unit: '*) v=${v##*service as unit: } ;;
		*'timer as unit: '*) v=${v##*timer as unit: } v=${v%%.timer*}.service ;;
		*) v= ;;
		esac
		v=${v%%"$nl"*} v=${v%%[; ]*}
		[ -n "$v" ] && answer unit "$v"
		answer armed "$by" "$cmd"
	else
		telling "$v"
		answer refused failed "$told"
	fi
else
	# What it says is kept until it has succeeded.
	out=$(mktemp 2>/dev/null)
	then=:
	[ -n "$out" ] && then='if [ $e = 0 ]; then rm -f "$0"; else echo "ended $e" >>"$0"; fi'
	has /usr/bin/setsid /bin/setsid || has /usr/bin/nohup /bin/nohup
	$v sh -c "trap '' HUP; sleep 2; { ${feed:+echo $feed | }$as $cmd; } >\"\$0\" 2>&1; e=\$?; $then" "${out:-/dev/null}" \
		</dev/null >/dev/null 2>&1 &
	[ -n "$out" ] && answer file "$out"
	answer armed "$by" "$cmd"
fi
:
