//! A list of paths that `ssh -G` prints on one line without the quotes around them: which blank separates two paths, and
//! which one belongs to a path.
//!
//! A `known_hosts` file that is missed makes every key a new one, so that a changed key could be accepted. What can be
//! read in two ways is therefore refused.

use std::path::Path;

/// Takes a printed list apart. `readings` are lists that may be meant, as they are written somewhere, expanded. Err: a
/// fragment that says what is wrong.
pub(in crate::transport::ssh) fn apart(printed: &str, readings: &[Vec<String>]) -> Result<Vec<String>, String> {
    if !printed.contains(' ') {
        return Ok(vec![printed.to_owned()]);
    }
    let mut fitting: Vec<&Vec<String>> = readings.iter().filter(|paths| paths.join(" ") == printed).collect();
    fitting.sort();
    fitting.dedup();
    match fitting.as_slice() {
        [paths] => Ok((*paths).clone()),
        [] => by_what_exists(printed),
        _ => Err(ambiguous(printed)),
    }
}

/// Where nobody wrote the list as it is printed: a path begins at `/` or `~`, unless what exists contradicts it.
fn by_what_exists(printed: &str) -> Result<Vec<String>, String> {
    let words: Vec<&str> = printed.split(' ').collect();
    let likely: Vec<String> =
        words.chunk_by(|_, next| !next.starts_with(['/', '~'])).map(|path| path.join(" ")).collect();
    let other_exists = (1..=words.len()).any(|length| {
        words.windows(length).any(|path| {
            let path = path.join(" ");
            !likely.contains(&path) && !path.is_empty() && exists(&path)
        })
    });
    // A path with a blank that does not exist may as well be two.
    let guessed = likely.iter().any(|path| path.contains(' ') && !exists(path));
    if other_exists || guessed { Err(ambiguous(printed)) } else { Ok(likely) }
}

fn exists(path: &str) -> bool {
    !matches!(Path::new(path).symlink_metadata(), Err(e) if e.kind() == std::io::ErrorKind::NotFound)
}

fn ambiguous(printed: &str) -> String {
    format!("`{printed}` can be read in more than one way; name files without a blank")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_is_written_decides() {
        let readings = [owned(&["/h/a b", "/h/c"]), owned(&["/h/x", "/h/y"]), owned(&["/h/x", "/h/y"])];
        for (printed, want) in [
            ("/one", Some(owned(&["/one"]))),
            ("/h/a b /h/c", Some(owned(&["/h/a b", "/h/c"]))),
            ("/h/x /h/y", Some(owned(&["/h/x", "/h/y"]))),
            ("/no/1 /no/2", Some(owned(&["/no/1", "/no/2"]))),
            ("/no/1 2", None),
        ] {
            assert_eq!(apart(printed, &readings).ok(), want, "{printed}");
        }
        let two = [owned(&["/h/a /b"]), owned(&["/h/a", "/b"])];
        let error = apart("/h/a /b", &two).unwrap_err();
        assert!(error.contains("`/h/a /b` can be read in more than one way"), "{error}");
    }

    #[test]
    fn else_what_exists_decides() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().to_str().unwrap();
        let printed = format!("{base}/my keys/known {base}/other");
        assert!(apart(&printed, &[]).is_err(), "nothing exists");
        fs::create_dir(format!("{base}/my keys")).unwrap();
        fs::write(format!("{base}/my keys/known"), "").unwrap();
        assert_eq!(apart(&printed, &[]).unwrap(), [format!("{base}/my keys/known"), format!("{base}/other")]);
        fs::write(format!("{base}/my"), "").unwrap();
        assert!(apart(&printed, &[]).is_err(), "both exist");
        let usual = format!("{base}/known_hosts {base}/known_hosts2");
        assert_eq!(apart(&usual, &[]).unwrap().len(), 2);
    }
}
