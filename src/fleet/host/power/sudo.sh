# Whether sudo runs a command without a password. `sudo -l CMD` alone says only that some rule allows it, perhaps with
# one; so the rules are read as sudo reads them: the last one that matches decides. `rights_here` sets `sudo` and
# `rights`: `none` there is no sudo, `yes` or `no` whether it ran something at all. It uses `uid` and `sudo` where the
# facts script has set them.

rights_here() {
	[ -n "$uid" ] || uid=$(id -u 2>/dev/null)
	[ "$uid" = 0 ] || [ -n "$rights" ] && return
	rights=none sudo=
	if has /usr/bin/sudo /usr/local/bin/sudo /run/wrappers/bin/sudo; then
		sudo=$v rights=no
		# One that looks for a directory server may take long: whoever gives up should know why.
		echo "waiting for sudo" >&2
		"$sudo" -n -- true </dev/null >/dev/null 2>&1 && rights=yes
		echo "sudo has answered" >&2
	fi
}

# Of the words of a program that failed the line that tells why: sudo says first what it could not resolve.
telling() {
	told=
	while IFS= read -r v; do
		case $v in '' | See\ * | Running\ *as\ unit* | Will\ run\ *) continue ;; esac
		told=$v
	done <<X
$1
X
}

# Whether root is among a rule's `(users : groups)`.
as_root() {
	case ", ${1%% :*}, " in
	*', !root, '* | *', !ALL, '* | *', !#0, '*) return 1 ;;
	*', root, '* | *', ALL, '* | *', #0, '*) return 0 ;;
	esac
	return 1
}

# Whether the command of a rule, $1, means the command $2. With $3 it is a rule that takes away: then what cannot be
# told counts as a match.
means() {
	[ "$1" = ALL ] && return
	c=$1
	case $c in sha[0-9]*:*' '*) c=${c#* } ;; esac
	a=${c%% *} b=${2%% *}
	# In a folder's name a wildcard matches no slash; such rules give nothing here.
	if [ -n "$3" ]; then
		case $b in $a) ;; *) [ "$a" -ef "$b" ] || [ "$a" = "${b%/*}/" ] || return 1 ;; esac
	elif [ "$a" != "${b%/*}/" ] && ! [ "$a" -ef "$b" ]; then
		[ "${a%/*}" = "${b%/*}" ] || return 1
		case ${b##*/} in ${a##*/}) ;; *) return 1 ;; esac
	fi
	case $c in
	*' '*) c=${c#* } ;;
	*) return 0 ;;
	esac
	case $2 in *' '*) b=${2#* } ;; *) b=\"\" ;; esac
	case $c in ^*) [ -n "$3" ]; return ;; esac
	# A backslash before `=`, `:` or `,` escapes in a pattern, too.
	case $b in $c) return 0 ;; esac
	return 1
}

# One line of rules, `(users : groups) TAGS: command, command`; `pass` is what sudo asks where nothing is said.
rule() {
	case $1 in \(*\)*) ;; *) return ;; esac
	d=${1#\(} d=${d%%\)*} rest=${1#*\) } tag=$pass
	as_root "$d" || return
	while [ -n "$rest" ]; do
		item=
		while :; do
			case $rest in
			*', '*) item=$item${rest%%', '*} rest=${rest#*', '} ;;
			*) item=$item$rest rest= ;;
			esac
			case $item in *[\\]) [ -n "$rest" ] && item="$item, " || break ;; *) break ;; esac
		done
		while :; do
			case ${item%% *} in
			NOPASSWD:) tag=no ;;
			PASSWD:) tag=yes ;;
			[A-Z]*: | [A-Z]*=*) ;;
			*) break ;;
			esac
			item=${item#* }
		done
		case $item in
		!*) means "${item#!}" "$2" takes && found=denied ;;
		*)
			if [ "$tag" = no ]; then means "$item" "$2" '' && found=free
			else means "$item" "$2" takes && found=password; fi
			;;
		esac
	done
}

# Whether sudo runs the command $1 as root now, and asks nobody for anything.
runs_free() {
	if [ -z "$listed" ]; then
		listed=1
		echo "waiting for sudo" >&2
		rules=$(LC_ALL=C "$sudo" -n -l </dev/null 2>/dev/null)
		echo "sudo has answered" >&2
	fi
	found= pass=yes head=1 line=
	while IFS= read -r v; do
		case $head$v in
		1*' may run the following commands on '*) head= ;;
		# Those of single commands and users to run as.
		1'    Defaults'*) ;;
		1*'!authenticate'*) pass=no ;;
		1*) ;;
		# sudo breaks long lines; what goes on is indented further.
		'        '*) line="$line ${v#        }" ;;
		*) rule "${line#    }" "$1"; line=$v ;;
		esac
	done <<X
$rules
X
	[ -n "$head" ] || rule "${line#    }" "$1"
	# Without a list nobody can know; whoever may run anything at all without one may do all, as a rule.
	if [ -n "$head" ]; then [ "$rights" = yes ]; else [ "$found" = free ]; fi
}
