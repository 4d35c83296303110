#!/bin/sh
# A user database of Proxmox VE as far as onboarding needs it, in files below @DB@; answers as PVE 9.2 does.
# roles/NAME: privileges; users/ID: comment; tokens/ID!NAME: privsep; acl/WHO ROLE: nothing.
# fail/KEY: how often, exit code and text of a failure; fail_after/KEY: the same, after the work was done.
cd @DB@ || exit 9
for a; do printf '[%s]' "$a"; done >> log
echo >> log
fail() { code=$1; shift; printf '%b\n' "$*" >&2; exit "$code"; }
if [ -e need_root ] && [ -z "$AS_ROOT" ]; then
	fail 255 'ipcc_send_rec[1] failed: Unknown error -1\nUnable to load access control list: Unknown error -1'
fi
key=$1-$2
[ "$2" = token ] && key=$1-$2-$3
injected() {
	[ -e "$1/$key" ] || return 0
	{ read -r times; read -r code; text=$(cat); } < "$1/$key"
	[ "$times" -gt 0 ] || return 0
	printf '%s\n%s\n%s\n' $((times - 1)) "$code" "$text" > "$1/$key"
	fail "$code" "$text"
}
injected fail
trap 'rc=$?; trap - EXIT; [ $rc = 0 ] && injected fail_after; exit $rc' EXIT
opt() { want=$1; shift; while [ $# -gt 1 ]; do [ "$1" = "$want" ] && printf '%s' "$2"; shift; done; }
noise() { for t in acl/*!*; do t=${t#acl/}; [ "$t" = '*!*' ] || [ -e "tokens/${t%% *}" ] || echo "user config - ignore invalid acl token '${t%% *}'" >&2; done; }
noise
list() { sep=; printf '['; for f in "$1/$3"*; do [ -e "$f" ] || continue; printf '%s' "$sep"; sep=,; "$2" "${f#*/}"; done; printf ']\n'; }
role_json() { printf '{"privs":"%s","roleid":"%s","special":0}' "$(cat "roles/$1")" "$1"; }
user_json() { printf '{"comment":"%s","enable":1,"expire":0,"realm-type":"pve","userid":"%s"}' "$(cat "users/$1")" "$1"; }
token_json() { printf '{"expire":0,"privsep":%s,"tokenid":"%s"}' "$(cat "tokens/$1")" "${1#*!}"; }
acl_json() { case $1 in *!*) t=token ;; *) t=user ;; esac; printf '{"path":"/","propagate":1,"roleid":"%s","type":"%s","ugid":"%s"}' "${1#* }" "$t" "${1%% *}"; }
privs() {
	p=$(opt --privs "$@")
	case $p in *VM.GuestAgent.Audit*) [ -e old ] && fail 255 "400 Parameter verification failed.\nprivs: invalid format - invalid privilege 'VM.GuestAgent.Audit'\n\npveum role add <roleid> [OPTIONS]" ;; esac
}
case "$1 $2 $3" in
role\ add\ *) privs "$@"; [ -e "roles/$3" ] && fail 255 "create role failed: role '$3' already exists"; printf '%s' "$p" > "roles/$3" ;;
role\ modify\ *) privs "$@"; printf '%s' "$p" > "roles/$3" ;;
role\ delete\ *) rm "roles/$3" 2>/dev/null || fail 255 "delete role failed: role '$3' does not exist" ;;
role\ list\ *) list roles role_json ;;
user\ add\ *) [ -e "users/$3" ] && fail 2 "create user failed: user '$3' already exists"; opt --comment "$@" > "users/$3" ;;
user\ delete\ *) rm "users/$3" 2>/dev/null || fail 255 "no such user ('$3')"; rm -f "tokens/$3!"* "acl/$3"* ;;
user\ list\ *) list users user_json ;;
acl\ list\ *) list acl acl_json ;;
acl\ *)
	role=$(opt --roles "$@") who=$(opt --users "$@")$(opt --tokens "$@")
	case $who in *!*) [ -e "tokens/$who" ] || fail 255 "ACL update failed: no such token '${who#*!}' for user '${who%%!*}'" ;; esac
	[ -e "roles/$role" ] || fail 255 "ACL update failed: role '$role' does not exist"
	[ -e "users/${who%%!*}" ] || fail 255 "ACL update failed: user '$who' does not exist"
	case $2 in modify) : > "acl/$who $role" ;; delete) rm -f "acl/$who $role" ;; *) fail 255 "ERROR: unknown command" ;; esac ;;
user\ token\ *)
	[ -e "users/$4" ] || fail 255 "no such user ('$4')"
	case $3 in
	list) list tokens token_json "$4!" ;;
	add) [ -e "tokens/$4!$5" ] && fail 255 '400 Parameter verification failed.\ntokenid: Token already exists.\npveum user token add <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]'
		opt --privsep "$@" > "tokens/$4!$5"
		printf '{"full-tokenid":"%s!%s","info":{"comment":"%s","privsep":"%s"},"value":"%s"}\n' "$4" "$5" "$(opt --comment "$@")" "$(opt --privsep "$@")" "5ec7e7-$5" ;;
	remove) rm "tokens/$4!$5" 2>/dev/null || fail 255 "no such token '$5' for user '$4'" ;;
	*) fail 255 'ERROR: unknown command' ;;
	esac ;;
*) fail 255 "ERROR: unknown command 'pveum $*'" ;;
esac
