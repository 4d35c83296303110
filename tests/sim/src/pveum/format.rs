//! How pveum prints a result: text tables, canonical JSON, pretty JSON, YAML.

use std::fmt::Write;

use serde_json::{Map, Value};

/// `--output-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    JsonPretty,
    Yaml,
}

impl Format {
    pub(super) fn parse(text: &str) -> Option<Format> {
        Some(match text {
            "text" => Format::Text,
            "json" => Format::Json,
            "json-pretty" => Format::JsonPretty,
            "yaml" => Format::Yaml,
            _ => return None,
        })
    }
}

/// How tables are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// The locale's codeset is UTF-8: box characters instead of ASCII.
    pub(super) utf8: bool,
    pub(super) border: bool,
    pub(super) header: bool,
}

/// A table: heads, and rows whose cells may have several lines. Columns of `right` are aligned to the right.
pub(super) struct Table<'a> {
    pub(super) heads: &'a [&'a str],
    pub(super) right: &'a [&'a str],
    pub(super) rows: Vec<Vec<String>>,
}

impl Table<'_> {
    pub(super) fn draw(&self, style: Style) -> String {
        let longest = |cell: &String| cell.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let width = |column: usize| {
            let head = self.heads[column].chars().count(); // also where the head is not shown
            self.rows.iter().map(|row| longest(&row[column])).max().unwrap_or(0).max(head)
        };
        let widths: Vec<usize> = (0..self.heads.len()).map(width).collect();
        let mut out = String::new();
        let rule = |kind: Rule| if style.border { kind.draw(style.utf8, &widths) } else { String::new() };
        out.push_str(&rule(Rule::Top));
        if style.header {
            let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
            self.line(&mut out, style, &widths, &heads);
            out.push_str(&rule(Rule::Head));
        }
        for (index, row) in self.rows.iter().enumerate() {
            let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
            for at in 0..height {
                let cells: Vec<String> =
                    row.iter().map(|cell| cell.lines().nth(at).unwrap_or_default().to_owned()).collect();
                self.line(&mut out, style, &widths, &cells);
            }
            out.push_str(&rule(if index + 1 == self.rows.len() { Rule::Bottom } else { Rule::Row }));
        }
        out
    }

    fn line(&self, out: &mut String, style: Style, widths: &[usize], cells: &[String]) {
        let padded: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = widths[column];
                if self.right.contains(&self.heads[column]) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        let bar = if style.utf8 { '│' } else { '|' };
        if style.border {
            let _ = writeln!(out, "{bar} {} {bar}", padded.join(&format!(" {bar} ")));
        } else {
            let _ = writeln!(out, "{}", padded.join(" ").trim_end());
        }
    }
}

#[derive(Clone, Copy)]
enum Rule {
    Top,
    Head,
    Row,
    Bottom,
}

impl Rule {
    fn draw(self, utf8: bool, widths: &[usize]) -> String {
        let (left, fill, cross, right) = match (utf8, self) {
            (false, Rule::Head) => ('+', '=', '+', '+'),
            (false, _) => ('+', '-', '+', '+'),
            (true, Rule::Top) => ('┌', '─', '┬', '┐'),
            (true, Rule::Head) => ('╞', '═', '╪', '╡'),
            (true, Rule::Row) => ('├', '─', '┼', '┤'),
            (true, Rule::Bottom) => ('└', '─', '┴', '┘'),
        };
        let parts: Vec<String> = widths.iter().map(|width| fill.to_string().repeat(width + 2)).collect();
        format!("{left}{}{right}\n", parts.join(&cross.to_string()))
    }
}

/// One line, keys sorted.
pub(super) fn json(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let fields = sorted(map).into_iter().map(|(key, value)| format!("{}:{}", Value::from(key), json(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

/// Three blanks of indentation and a blank before the colon, as Perl's JSON module has it.
pub(super) fn json_pretty(value: &Value, depth: usize) -> String {
    let pad = "   ".repeat(depth + 1);
    let end = "   ".repeat(depth);
    match value {
        Value::Array(items) if !items.is_empty() => {
            let items: Vec<String> =
                items.iter().map(|item| format!("{pad}{}", json_pretty(item, depth + 1))).collect();
            format!("[\n{}\n{end}]", items.join(",\n"))
        }
        Value::Object(map) if !map.is_empty() => {
            let field =
                |(key, value): (&str, &Value)| format!("{pad}{} : {}", Value::from(key), json_pretty(value, depth + 1));
            format!("{{\n{}\n{end}}}", sorted(map).into_iter().map(field).collect::<Vec<_>>().join(",\n"))
        }
        other => json(other),
    }
}

/// A YAML document.
pub(super) fn yaml(value: &Value) -> String {
    let mut out = "---".to_owned();
    yaml_into(&mut out, value, 0);
    out.push('\n');
    out
}

fn yaml_into(out: &mut String, value: &Value, depth: usize) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in sorted(map) {
                let _ = write!(out, "\n{pad}{key}:");
                yaml_into(out, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                yaml_into(&mut inner, item, depth + 1);
                let _ = write!(out, "\n{pad}- {}", inner.trim_start());
            }
        }
        Value::Object(_) => out.push_str(" {}"),
        Value::Array(_) => out.push_str(" []"),
        Value::String(text) if text.is_empty() || text.parse::<f64>().is_ok() => {
            let _ = write!(out, " '{text}'");
        }
        Value::String(text) => {
            let _ = write!(out, " {text}");
        }
        scalar => {
            let _ = write!(out, " {scalar}");
        }
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut fields: Vec<(&str, &Value)> = map.iter().map(|(key, value)| (key.as_str(), value)).collect();
    fields.sort_by_key(|(key, _)| *key);
    fields
}
