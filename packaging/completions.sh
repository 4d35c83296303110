# Asks the completions of an installed ecobox in each shell for what follows `ecobox sta`: status and stats. Run by packaging/check.
set -eu
wants() {
    case $2 in
    *status*) echo "$1: completes" ;;
    *) echo "$1: \`ecobox sta\` is completed to: $2" >&2; exit 1 ;;
    esac
}
wants bash "$(bash -c '
    source /usr/share/bash-completion/bash_completion
    _comp_load ecobox 2>/dev/null || __load_completion ecobox
    COMP_WORDS=(ecobox sta) COMP_CWORD=1 COMP_LINE="ecobox sta" COMP_POINT=10 COMP_TYPE=9
    complete -p ecobox >/dev/null
    eval "$(complete -p ecobox | sed "s/.*-F \([^ ]*\) .*/\1/")" ecobox sta ecobox
    echo "${COMPREPLY[@]}"')"
wants fish "$(fish -c 'complete -C "ecobox sta"')"
# zsh's completion system works on a terminal alone: what it would be told is printed here.
wants zsh "$(zsh -f -c '
    compdef() { }
    _describe() { local -a found=("${(@P)3}"); print -rl -- ${found%%:*} }
    source /usr/share/zsh/vendor-completions/_ecobox
    words=(ecobox sta) CURRENT=2
    _clap_dynamic_completer_ecobox')"
