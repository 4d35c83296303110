# Whether what was armed has failed: of systemd's `$unit`, or by the words in `$file`. It looks for some seconds and
# prints `failed<TAB>words`, or `done` where it has ended well.
p() { printf '%s\t%s\n' "$1" "$2"; }
i=0
while [ "$i" -lt 30 ]; do
	i=$((i + 1))
	if [ -n "$unit" ]; then
		v=
		has /usr/bin/systemctl /bin/systemctl &&
			v=$("$v" show -p LoadState -p ActiveState -p ExecMainStatus "$unit" 2>/dev/null </dev/null)
		case $v in
		*ActiveState=failed*)
			e=${v##*ExecMainStatus=}
			told=
			if has /usr/bin/journalctl /bin/journalctl; then
				v=$("$v" -q --no-pager -o cat -n 3 -u "$unit" -t systemctl 2>/dev/null </dev/null) && telling "$v"
			fi
			p failed "${told:-it ended there with status ${e%%[!0-9]*}}"
			break
			;;
		*LoadState=not-found* | '') p 'done' ''; break ;;
		esac
	elif [ -e "$file" ]; then
		v=$(cat "$file" 2>/dev/null)
		case $v in
		*'ended '*)
			e=${v##*ended } v=${v%ended *}
			telling "$v"
			p failed "${told:-it ended there with status $e}"
			rm -f "$file"
			break
			;;
		esac
	else
		p 'done' ''
		break
	fi
	sleep 0.3 2>/dev/null || sleep 1
done
:
