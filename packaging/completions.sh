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
# zsh completes on a terminal alone: it has one of its own here.
wants zsh "$(zsh -f -c '
    zmodload zsh/zpty
    zpty -b shell zsh -f -i
    zpty -w shell "autoload -Uz compinit; compinit -u; PS1=; zstyle \":completion:*\" list-prompt \"\""
    zpty -w -n shell "ecobox sta"$'"'\\t\\t'"'
    for i in {1..50}; do
        sleep 0.1
        while zpty -r -t shell line; do print -rn -- $line; done
        [[ $line == *status* ]] && break
    done
    zpty -d shell')"
