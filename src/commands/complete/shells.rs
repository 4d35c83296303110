//! How bash, zsh and fish ask for completions: clap's own ways, with two differences. Options are offered only once a `-`
//! was typed, and in bash a word that contains `=` or `:` is one word, although bash itself splits it there.

use std::ffi::OsString;
use std::io::{Result, Write};
use std::path::Path;

use clap::Command;
use clap_complete::env::{Bash, EnvCompleter, Fish, Shells, Zsh};

/// Whatever asks for completions, and for the script that makes a shell ask.
pub(crate) const SHELLS: Shells<'static> = Shells(&[&Own(&Bash), &Own(&Zsh), &Own(&Fish)]);

/// The scripts of all shells, with the names that each looks for.
pub(crate) const SCRIPTS: [(&dyn EnvCompleter, &str); 3] =
    [(&Own(&Bash), "ecobox.bash"), (&Own(&Zsh), "_ecobox"), (&Own(&Fish), "ecobox.fish")];

/// One of clap's shells, with our differences.
struct Own(&'static (dyn EnvCompleter + Sync));

impl EnvCompleter for Own {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn is(&self, name: &str) -> bool {
        self.0.is(name)
    }

    fn write_registration(&self, var: &str, name: &str, bin: &str, completer: &str, buf: &mut dyn Write) -> Result<()> {
        if self.name() == "bash" {
            return buf.write_all(BASH.replace("COMPLETER", completer).replace("VAR", var).as_bytes());
        }
        self.0.write_registration(var, name, bin, completer, buf)
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> Result<()> {
        let variable = |name| std::env::var(name).ok();
        let index = variable("_CLAP_COMPLETE_INDEX").and_then(|index| index.parse().ok());
        let typed = args.get(index.unwrap_or(args.len().saturating_sub(1))).cloned().unwrap_or_default();
        let hidden: Vec<String> =
            cmd.get_subcommands().filter(|sub| sub.is_hide_set()).map(|sub| sub.get_name().to_owned()).collect();
        let mut all = Vec::new();
        self.0.write_complete(cmd, args, current_dir, &mut all)?;
        if typed.as_encoded_bytes().starts_with(b"-") {
            return buf.write_all(&all);
        }
        let between = variable("_CLAP_IFS").filter(|_| self.name() != "fish").unwrap_or_else(|| "\n".to_owned());
        let all = String::from_utf8_lossy(&all);
        // A hidden command is offered by clap where nothing else begins so.
        let is_hidden = |value: &str| hidden.iter().any(|name| value.split([':', '\t']).next() == Some(name));
        let shown = |value: &&str| !value.starts_with('-') && !is_hidden(value);
        let values: Vec<&str> = all.split(between.as_str()).filter(shown).collect();
        buf.write_all(values.join(&between).as_bytes())
    }
}

/// Joins what bash has split at `=` and `:`, and takes what stands before the last of them off the answers again, since bash
/// replaces only what follows.
const BASH: &str = r#"_ecobox() {
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
        _CLAP_COMPLETE_SPACE=true VAR=bash "COMPLETER" -- "${words[@]}" 2>/dev/null))
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
"#;
