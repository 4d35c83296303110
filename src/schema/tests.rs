use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{all, file_name};

#[test]
fn schemas_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        fs::create_dir_all(&folder).unwrap();
    }
    let mut names = BTreeSet::new();
    for schema in all() {
        let path = folder.join(file_name(&schema));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if update {
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is not what the code makes: run `UPDATE=1 cargo test schemas_are_current` and commit what it writes",
            path.display()
        );
        names.insert(file_name(&schema));
    }
    let committed = fs::read_dir(&folder).unwrap();
    let committed: BTreeSet<String> =
        committed.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(committed, names);
}
