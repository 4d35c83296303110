//! The simulated `pveum`: its grammar, its error texts and its output, as PVE 9.2 answers (7 and 8 where they differ).

mod args;
mod format;
#[cfg(test)]
mod replay;
mod run;

use crate::access::{Access, Outcome};
use args::Call;
use format::{Format, Style, Table};
use serde_json::Value;

/// Why a command failed: what it prints on stderr, and its exit status, which is often an accidental errno.
pub(crate) struct Failure {
    stderr: String,
    code: i32,
}

impl Failure {
    fn die(text: impl std::fmt::Display) -> Failure {
        Failure { stderr: format!("{text}\n"), code: 255 }
    }

    /// `400 Parameter verification failed.` for one parameter, followed by the usage line.
    fn parameter(name: &str, text: impl std::fmt::Display, usage: &str) -> Failure {
        Failure::die(format!("400 Parameter verification failed.\n{name}: {text}\n{usage}"))
    }

    /// A value of the wrong format; PVE leaves an empty line in this case.
    fn format(name: &str, text: impl std::fmt::Display, usage: &str) -> Failure {
        Failure::parameter(name, format!("invalid format - {text}\n"), usage)
    }
}

/// What a command answers: nothing, or a value with the way its text form is drawn.
pub(crate) enum Answer {
    Nothing,
    Record(Value),
    List { rows: Vec<Value>, columns: &'static [&'static str], right: &'static [&'static str] },
    Permissions(Value),
}

impl Access {
    /// Runs one `pveum` command line (without the word `pveum`) as root in the C locale.
    pub fn pveum(&mut self, args: &[String]) -> Outcome {
        self.pveum_in(args, false)
    }

    /// The same in a locale whose codeset is UTF-8, or not: text tables are drawn with other characters.
    pub fn pveum_in(&mut self, args: &[String], utf8: bool) -> Outcome {
        self.audit.push(format!("pveum {}", args.join(" ")));
        let mut warnings = self.warnings();
        let result = Call::parse(args, self.version).and_then(|call| Ok((run::run(self, &call)?, call)));
        match result {
            Ok((answer, call)) => Outcome { stdout: render(answer, &call, utf8), stderr: warnings, code: 0 },
            Err(failure) => {
                warnings.push_str(&failure.stderr);
                Outcome { stdout: String::new(), stderr: warnings, code: failure.code }
            }
        }
    }

    /// What reading user.cfg complains about: ACL entries whose token or role is gone. They stay until the next write.
    fn warnings(&self) -> String {
        let mut lines = String::new();
        for entry in &self.acl {
            if !self.roles.contains_key(&entry.role) {
                lines.push_str(&format!("user config - ignore invalid acl role '{}'\n", entry.role));
            } else if self.is_dangling(&entry.who) {
                lines.push_str(&format!("user config - ignore invalid acl token '{}'\n", entry.who));
            }
        }
        lines
    }

    fn is_dangling(&self, who: &str) -> bool {
        let Some((userid, name)) = crate::access::split_token(who) else { return false };
        !self.users.get(userid).is_some_and(|user| user.tokens.contains_key(name))
    }

    /// What every change does first: take the lock, which needs quorum, and forget entries that could not be read.
    fn begin_write(&mut self) -> Result<(), Failure> {
        if !self.quorate {
            return Err(Failure::die("cfs-lock 'file-user_cfg' error: no quorum!"));
        }
        let stale: Vec<bool> = self
            .acl
            .iter()
            .map(|entry| self.is_dangling(&entry.who) || !self.roles.contains_key(&entry.role))
            .collect();
        let mut stale = stale.into_iter();
        self.acl.retain(|_| !stale.next().unwrap_or(false));
        Ok(())
    }
}

fn render(answer: Answer, call: &Call, utf8: bool) -> String {
    let format = call.format;
    let style = Style { utf8, border: !call.flag("noborder"), header: !call.flag("noheader") };
    if call.flag("quiet") {
        return String::new();
    }
    let value = match answer {
        Answer::Nothing => return String::new(),
        Answer::Record(value) => {
            if format == Format::Text {
                return record(&value, style);
            }
            value
        }
        Answer::List { rows, columns, right } => {
            if format == Format::Text {
                return list(rows, columns, right, style);
            }
            Value::from(rows)
        }
        Answer::Permissions(value) => {
            if format == Format::Text {
                return permissions(&value, style);
            }
            value
        }
    };
    match format {
        Format::Json => format::json(&value) + "\n",
        Format::JsonPretty => format::json_pretty(&value, 0) + "\n",
        Format::Text | Format::Yaml => format::yaml(&value),
    }
}

fn record(value: &Value, style: Style) -> String {
    let mut rows: Vec<Vec<String>> =
        value.as_object().into_iter().flatten().map(|(key, value)| vec![key.clone(), cell(value)]).collect();
    rows.sort();
    Table { heads: &["key", "value"], right: &[], rows }.draw(style)
}

fn list(mut rows: Vec<Value>, columns: &[&str], right: &[&str], style: Style) -> String {
    rows.sort_by_key(|row| columns.iter().map(|column| cell(&row[*column])).collect::<Vec<_>>());
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| cell(&row[*column])).collect()).collect();
    if rows.is_empty() {
        return String::new();
    }
    Table { heads: columns, right, rows }.draw(style)
}

fn permissions(value: &Value, style: Style) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (path, privs) in value.as_object().into_iter().flatten() {
        let mut names: Vec<String> = privs
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, down)| format!("{name}{}", if down == 1 { " (*)" } else { "" }))
            .collect();
        names.sort();
        rows.push(vec![path.clone(), names.join("\n")]);
    }
    rows.sort();
    let table = if rows.is_empty() {
        String::new()
    } else {
        Table { heads: &["ACL path", "Permissions"], right: &[], rows }.draw(style)
    };
    table + "Permissions marked with '(*)' have the 'propagate' flag set.\n"
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => format::json(other),
    }
}
