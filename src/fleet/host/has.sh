# The first of these programs that is there stays in $v; after the usual places the login's PATH is asked (NixOS).
has() {
	for v; do [ -x "$v" ] && return; done
	for o; do
		v=$(command -v "${o##*/}" 2>/dev/null)
		case $v in [/]*) [ -x "$v" ] && return ;; esac
	done
	v=
	return 1
}
