//! `ecobox generate`: completions and man pages, made from the command line's definition. Hidden: for packagers.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::cli::Cli;

/// Write the shell completions or the man pages into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// What to write
    what: What,
    /// The folder, made if it is not there
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    Completions,
    Man,
}

/// Writes the files.
///
/// # Errors
/// The system's, when the folder or a file cannot be written.
pub(crate) fn run(args: &GenerateArgs) -> std::io::Result<()> {
    std::fs::create_dir_all(&args.folder)?;
    // The demo is a feature of test builds: what is shipped does not speak of it.
    let mut command = Cli::command().mut_subcommands(|sub| sub.hide(false));
    let hidden = ["generate", "demo"];
    command = command.mut_subcommands(|sub| if hidden.contains(&sub.get_name()) { sub.hide(true) } else { sub });
    match args.what {
        What::Completions => completions(&args.folder),
        What::Man => clap_mangen::generate_to(command, &args.folder),
    }
}

/// Each script asks the binary itself while one types, so that names of servers complete as well as options.
fn completions(folder: &std::path::Path) -> std::io::Result<()> {
    use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
    let shells: [(&dyn EnvCompleter, &str); 3] = [(&Bash, "ecobox.bash"), (&Zsh, "_ecobox"), (&Fish, "ecobox.fish")];
    for (shell, file) in shells {
        let mut script = Vec::new();
        shell.write_registration("COMPLETE", "ecobox", "ecobox", "ecobox", &mut script)?;
        std::fs::write(folder.join(file), script)?;
    }
    Ok(())
}
