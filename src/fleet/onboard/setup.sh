# What setup-token does on a Proxmox VE host, all in one visit. Before this text stand the values that it works
# with, and `remove_ours`. Lines that begin with `== ` say where the output is:
#   == host                  facts as `key<TAB>value`
#   == run NAME              standard output of one pveum call follows, as it is
#   == code NAME STATUS      its end; then its standard error, each line after `! `
#   == removed USERID!NAME   that token is not there (any more); before it `== absent` if it was not there at all
#   == user kept|removed, == user disabled|expired
#   == expired SECONDS       the token that is replaced had ended then; the new one does not
#   == done                  everything asked for was done
#   == ca, == leaf           certificates, PEM
#   == end
# A token's secret is printed by pveum itself, straight to standard output: it is in no variable, file or argument.
# No `exit`: the text runs inside braces. Absolute paths stand at the beginning of a word.

nl='
'
say() { printf '== %s\n' "$*"; }
fact() { [ -n "$2" ] && printf '%s\t%s\n' "$1" "${2%%"$nl"*}"; }
# Proxmox VE comes without sudo: root needs none.
as_root() { if [ "$uid" = 0 ]; then "$@"; else /usr/bin/sudo -n -- "$@"; fi; }
has() { case $err in *"$1"*) return 0 ;; esac; return 1; }

# One pveum call: a name, then its arguments. Its standard error stays in $err. A call that could not get PVE's
# lock has changed nothing, and is made again.
call() {
	name=$1
	shift
	for try in 1 2 3; do
		say run "$name"
		err=$(as_root /usr/sbin/pveum "$@" 2>&1 >&4 4>&-)
		rc=$?
		printf '\n'
		say code "$name" "$rc"
		rest=$err
		while [ -n "$rest" ]; do
			printf '! %s\n' "${rest%%"$nl"*}"
			case $rest in *"$nl"*) rest=${rest#*"$nl"} ;; *) rest= ;; esac
		done
		[ "$rc" = 0 ] && return 0
		has 'got lock request timeout' || return 1
	done
	return 1
}
# A question whose answer is only wanted here, in $out.
ask() { out=$(as_root /usr/sbin/pveum "$@" --output-format json 2>/dev/null); }

# Calls `$1 PATH ROLE PROPAGATE` for each ACL of the token $2. PVE lists them as one line of JSON, each with its keys in
# this order; neither paths nor names have quotes.
each_acl() {
	ask acl list || return 1
	acls=$out
	acl_end="\"type\":\"token\",\"ugid\":\"$2\"}"
	while :; do
		case $acls in *"$acl_end"*) ;; *) break ;; esac
		one=${acls%%"$acl_end"*}
		acls=${acls#*"$acl_end"}
		one=${one##*'{'}
		path=${one#*'"path":"'}
		down=${one#*'"propagate":'}
		of=${one#*'"roleid":"'}
		"$1" "${path%%'"'*}" "${of%%'"'*}" "${down%%,*}" || return 1
	done
}
is_ours() {
	[ "$1" = / ] && { [ "$2" = "$read_role" ] || [ "$2" = "$power_role" ] || [ "$2" = "$manage_role" ]; }
}
keep_acl() { is_ours "$1" "$2" || call acl-keep acl modify "$1" --tokens "$userid!$token" --roles "$2" --propagate "$3"; }
drop_acl() { call acl-drop acl delete "$1" --tokens "$owner!$id" --roles "$2"; }

# userid, name, then the roles that the token may have. The ACL goes first: what names a token that is gone cannot
# be deleted any more, and every later pveum call warns of it.
remove() {
	owner=$1
	id=$2
	shift 2
	for r; do
		call acl-delete acl delete / --tokens "$owner!$id" --roles "$r" || has 'no such token' || has 'no such user' ||
			has 'does not exist' || return 1
	done
	# Those that it was given by others. Who cannot list them leaves them: they give nobody anything any more.
	[ "$#" = 0 ] || each_acl drop_acl "$owner!$id"
	if ! call token-remove user token remove "$owner" "$id"; then
		has 'no such token' || has 'no such user' || return 1
		say absent "$owner!$id"
	fi
	say removed "$owner!$id"
}

# The role with exactly the scope's privileges. PVE lists them sorted, as they stand in $privs.
ensure_role() {
	privs=$privs_new
	case $major in [5-8]) privs=$privs_old ;; esac
	call role-add role add "$role" --privs "$privs" && return 0
	if has 'invalid privilege' && [ "$privs" != "$privs_old" ]; then
		privs=$privs_old
		call role-add role add "$role" --privs "$privs" && return 0
	fi
	has 'already exists' || return 1
	ask role list
	case $out in *"\"privs\":\"$privs\",\"roleid\":\"$role\""*) return 0 ;; esac
	call role-modify role modify "$role" --privs "$privs"
}

# Nothing is replaced by less.
keep_acls() {
	[ -z "$replaces" ] || each_acl keep_acl "$replaces" || { call acl-list acl list --output-format json; return 1; }
}

# What somebody set on the token that is replaced stays: when it ends, and a comment that is not ecobox's own. The list is
# one line of JSON, each token with its keys in this order, and each quotation mark in a comment behind a backslash.
keep_settings() {
	expire=
	[ -n "$old_name" ] && ask user token list "$old_user" || return 0
	one=${out%%"\"tokenid\":\"$old_name\"}"*}
	[ "$one" != "$out" ] || return 0
	case $one in *'"tokenid":"'*) one=${one##*'"tokenid":"'} && one=${one#*'},'} ;; esac
	set_to=${one##*'"expire":'}
	set_to=${set_to%%,*}
	set_to=${set_to#'"'}
	set_to=${set_to%'"'}
	case $set_to in
	'' | 0 | *[!0-9]*) ;;
	*) if [ "$set_to" -gt "$(date +%s)" ]; then expire=$set_to; else say expired "$set_to"; fi ;;
	esac
	case $one in
	*'{"comment":"ecobox on '* | *'{"comment":""'*) return 0 ;;
	*'{"comment":"'*) ;;
	*) return 0 ;;
	esac
	set_to=${one#*'{"comment":"'}
	set_to=${set_to%%'","expire":'*}
	# Other escapes are line breaks and the like, which pveum would not take either.
	case $(printf '%s' "$set_to" | sed 's/\\["\\/]//g') in
	*\\*) ;;
	*) comment=$(printf '%s' "$set_to" | sed 's/\\\(["\\/]\)/\1/g') ;;
	esac
}

# Whoever disabled the user, or let it end, does not want tokens of it to work.
is_usable() {
	ask user list || return 0
	one=${out%%"\"userid\":\"$userid\""*}
	[ "$one" != "$out" ] || return 0
	one=${one##*'{'}
	case $one in *'"enable":0,'* | *'"enable":"0",'*) say user disabled; return 1 ;; esac
	set_to=${one##*'"expire":'}
	set_to=${set_to%%,*}
	set_to=${set_to#'"'}
	set_to=${set_to%'"'}
	case $set_to in '' | 0 | *[!0-9]*) return 0 ;; esac
	[ "$set_to" -gt "$(date +%s)" ] || { say user expired; return 1; }
}

create() {
	remove_ours || return 1
	keep_settings
	if [ -n "$role" ]; then
		ensure_role || return 1
		call user-add user add "$userid" --comment "$user_comment" || { has 'already exists' && is_usable; } || return 1
		# Roles add up: a user who also has tokens of another scope keeps what those need.
		call acl-user acl modify / --users "$userid" --roles "$role" || return 1
	else
		is_usable || return 1
	fi
	set -- user token add "$userid" "$token" --privsep "$privsep" --comment "$comment"
	[ -z "$expire" ] || set -- "$@" --expire "$expire"
	call token-add "$@" --output-format json || return 1
	[ -n "$role" ] || return 0
	call acl-token acl modify / --tokens "$userid!$token" --roles "$role" && keep_acls && return 0
	call undo user token remove "$userid" "$token" && say removed "$userid!$token"
	return 1
}

# User and roles go when nobody needs them and when they are as ecobox makes them.
revoke() {
	remove_ours || return 1
	[ -n "$role" ] || return 0
	ask user token list "$userid" && [ "$out" = '[]' ] || { say user kept; return 0; }
	ask user list || { say user kept; return 0; }
	before=${out%%"\"userid\":\"$userid\""*}
	[ "$before" != "$out" ] || return 0
	case ${before##*'{'} in *"\"comment\":\"$user_mark"*) ;; *) say user kept; return 0 ;; esac
	call user-delete user delete "$userid" || has 'no such user' || return 1
	say user removed
	ask acl list || return 0
	acl=$out
	ask role list || return 0
	for pair in "$read_role $read_new" "$read_role $read_old" "$power_role $power_new" "$power_role $power_old" \
		"$manage_role $manage_new" "$manage_role $manage_old" "EcoboxHibernate Datastore.AllocateSpace,VM.Config.Disk"; do
		r=${pair%% *}
		case $acl in '['*"\"$r\""*) continue ;; '['*']') ;; *) continue ;; esac
		case $out in *"\"privs\":\"${pair#* }\",\"roleid\":\"$r\""*) ;; *) continue ;; esac
		call role-delete role delete "$r" || has 'does not exist' || return 1
	done
}

certificate() {
	[ -e "$2" ] || return 0
	say "$1"
	as_root sed -n '/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p' "$2" 2>/dev/null
	printf '\n'
}

exec 4>&1
uid=
if [ -r /proc/self/status ]; then
	while read -r a b c d; do
		case $a in Uid:) uid=$c; break ;; esac
	done < /proc/self/status
fi
[ -n "$uid" ] || uid=$(id -u 2>/dev/null)

version=
[ -x /usr/bin/dpkg-query ] && version=$(/usr/bin/dpkg-query -W -f='${Version}' pve-manager 2>/dev/null)
if [ -z "$version" ] && [ -x /usr/bin/pveversion ]; then
	version=$(/usr/bin/pveversion 2>/dev/null)
	version=${version#*/}
	version=${version%%/*}
fi
[ -z "$version" ] && [ -r /etc/pve/version ] && IFS= read -r version < /etc/pve/version
major=${version#*/}
major=${major%%[.-]*}
hostname=
[ -r /proc/sys/kernel/hostname ] && IFS= read -r hostname < /proc/sys/kernel/hostname
link=
if [ -L /etc/pve/local ]; then
	if cd -P /etc/pve/local 2>/dev/null; then link=$PWD; cd /; else link=$(readlink /etc/pve/local 2>/dev/null); fi
fi
say host
fact uid "$uid"
fact version "$version"
fact hostname "$hostname"
fact local "$link"

if [ ! -x /usr/sbin/pveum ]; then
	say no-pveum
elif "$action"; then
	say done
	certificate ca /etc/pve/pve-root-ca.pem
	# Where there is a certificate of the administrator's with its key, it is the one that is served.
	if [ -e /etc/pve/local/pveproxy-ssl.pem ] && [ -e /etc/pve/local/pveproxy-ssl.key ]; then
		certificate leaf /etc/pve/local/pveproxy-ssl.pem
	else
		certificate leaf /etc/pve/local/pve-ssl.pem
	fi
fi
say end
