_ecobox() {
    local IFS=$'\013' line=${COMP_LINE:0:COMP_POINT} words=() word rest typed before i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        ((i == COMP_CWORD)) && [[ $word != [=:]* ]] && word=$2
        rest=${line#"${line%%[! $'\t']*}"}
        if ((i > 0)) && [[ -n $word && $rest == "$line" ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        line=${rest#"$word"}
    done
    typed=${words[${#words[@]} - 1]}
    [[ $typed == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]] && before=${typed%"${typed##*[=:]}"}
    COMPREPLY=($(_CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) _CLAP_COMPLETE_COMP_TYPE="$COMP_TYPE" \
        _CLAP_COMPLETE_SPACE=true COMPLETE=bash "ecobox" -- "${words[@]}" 2>/dev/null))
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]=${COMPREPLY[i]#"$before"}
    done
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=/:] ]] && compopt -o nospace 2>/dev/null
    return 0
}
if ((BASH_VERSINFO[0] > 4 || BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4)); then
    complete -o bashdefault -o nosort -F _ecobox ecobox
else
    complete -o bashdefault -F _ecobox ecobox
fi
