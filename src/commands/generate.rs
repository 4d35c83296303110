//! `ecobox generate`: completions and man pages, made from the command line's definition, and the table of hints.
//! Hidden: for packagers and tests.

mod man;

use std::path::{Path, PathBuf};

use clap::Command;

use crate::commands::complete::shells::SCRIPTS;
use crate::model::hint::HintId;

/// Write the shell completions, the man pages or the table of hints into a folder
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
    /// `hints.json`
    Hints,
}

/// Writes the files, for this command line.
///
/// # Errors
/// The system's, when the folder or a file cannot be written.
pub(crate) fn run(args: &GenerateArgs, command: Command) -> std::io::Result<()> {
    std::fs::create_dir_all(&args.folder)?;
    match args.what {
        What::Completions => completions(&args.folder),
        What::Man => man::write(command, &args.folder),
        What::Hints => hints(&args.folder),
    }
}

/// Each script asks the binary itself while one types, so that names of servers complete as well as options.
fn completions(folder: &Path) -> std::io::Result<()> {
    for (shell, file) in SCRIPTS {
        let mut script = Vec::new();
        shell.write_registration("COMPLETE", "ecobox", "ecobox", "ecobox", &mut script)?;
        std::fs::write(folder.join(file), script)?;
    }
    Ok(())
}

fn hints(folder: &Path) -> std::io::Result<()> {
    let row = |row: &HintId| serde_json::json!({ "id": row.as_str(), "cause": row.cause(), "fix": row.fix() });
    let rows: Vec<_> = HintId::ALL.iter().map(row).collect();
    std::fs::write(folder.join("hints.json"), format!("{:#}\n", serde_json::Value::from(rows)))
}
