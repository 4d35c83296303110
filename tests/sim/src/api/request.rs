//! One call as the API sees it: method, path below the prefix, parameters.

use std::collections::BTreeMap;

use serde_json::Value;

/// A call below `/api2/{format}`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Path segments, percent-decoded, empty ones dropped.
    pub(crate) segments: Vec<String>,
    /// Query and body parameters together.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The other formatter: always 200, `success` in the body.
    pub(crate) extjs: bool,
}

impl Call {
    /// Splits a path such as `/nodes/pve1/qemu?full=1`.
    pub(crate) fn new(method: &str, path: &str, query: Option<&str>, extjs: bool) -> Call {
        let segments = path.split('/').filter(|part| !part.is_empty()).map(percent_decode).collect();
        let parameters = query.map(parse_form).unwrap_or_default();
        Call { method: method.to_owned(), segments, parameters, extjs }
    }

    /// The path as PVE's messages write it.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }

    /// A parameter that is an integer.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.parameters.get(name)?.parse().ok()
    }

    /// A parameter that is a boolean, false when absent.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.parameters.get(name).is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.as_str()))
    }
}

/// The parameters of a request body, or the status and text of its refusal.
pub(crate) fn parse_body(content_type: Option<&str>, body: &[u8]) -> Result<BTreeMap<String, String>, (u16, String)> {
    let kind = content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
    match kind {
        None | Some("" | "application/x-www-form-urlencoded") => Ok(parse_form(&String::from_utf8_lossy(body))),
        Some("application/json") => parse_json(body),
        Some(other) => Err((506, format!("upload 'Content-Type '{other}' not implemented"))),
    }
}

fn parse_json(body: &[u8]) -> Result<BTreeMap<String, String>, (u16, String)> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map.into_iter().map(|(key, value)| (key, plain(&value))).collect()),
        Ok(_) => Ok(BTreeMap::new()),
        Err(_) => {
            let at = format!("at character offset {} (before \"(end of string)\")", body.len());
            let place = "at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.";
            let what = "malformed JSON string, neither tag, array, object, number, string or atom,";
            Err((500, format!("{what} {at} {place}")))
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => if *flag { "1" } else { "0" }.to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn parse_form(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(['&', ';']).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(&name.replace('+', " ")), percent_decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Decodes `%41`; what is malformed stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
