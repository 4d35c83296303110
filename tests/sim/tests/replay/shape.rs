//! The shape of JSON: which keys an object of some kind always has, which it may have, and of which types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What has been seen at one place. Objects at the same place can be of several kinds.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    types: BTreeSet<&'static str>,
    kinds: BTreeMap<String, Fields>,
    items: Option<Box<Shape>>,
}

#[derive(Debug, Default)]
struct Fields {
    objects: usize,
    keys: BTreeMap<String, (usize, Shape)>,
}

impl Shape {
    /// Takes one more value into account. `place` is the path so far.
    pub(crate) fn learn(&mut self, value: &Value, place: &str) {
        self.types.insert(type_of(value));
        match value {
            Value::Array(items) => {
                let shape = self.items.get_or_insert_default();
                for item in items {
                    shape.learn(item, place);
                }
            }
            Value::Object(map) => {
                let fields = self.kinds.entry(kind_of(value)).or_default();
                fields.objects += 1;
                for (key, value) in map {
                    let name = if is_map(place) { "*" } else { key };
                    let entry = fields.keys.entry(name.to_owned()).or_default();
                    entry.0 += 1;
                    entry.1.learn(value, &format!("{place}.{name}"));
                }
            }
            _ => {}
        }
    }

    /// What is wrong with a value, if the shape knows everything.
    pub(crate) fn check(&self, value: &Value, place: &str, problems: &mut Vec<String>) {
        if !self.types.contains(type_of(value)) {
            problems.push(format!("{place} is {}, recorded: {:?}", type_of(value), self.types));
            return;
        }
        match (value, &self.items) {
            (Value::Array(items), Some(shape)) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| shape.check(item, &format!("{place}[{index}]"), problems));
            }
            (Value::Object(map), _) => {
                let kind = kind_of(value);
                if kind == "offline node" {
                    return; // the recorded host was in no cluster: it had no such row
                }
                let Some(fields) = self.kinds.get(&kind) else {
                    problems.push(format!("{place} is an object of kind '{kind}', never recorded here"));
                    return;
                };
                fields.check(map, place, problems);
            }
            _ => {}
        }
    }
}

impl Fields {
    fn check(&self, map: &serde_json::Map<String, Value>, place: &str, problems: &mut Vec<String>) {
        let free = is_map(&without_indexes(place));
        for (key, value) in map {
            match self.keys.get(if free { "*" } else { key }) {
                Some((_, shape)) => shape.check(value, &format!("{place}.{}", if free { "*" } else { key }), problems),
                None => problems.push(format!("{place}.{key} was never recorded")),
            }
        }
        for (key, (count, _)) in &self.keys {
            if !free && *count == self.objects && !map.contains_key(key) {
                problems.push(format!("{place}.{key} is missing, all {count} recorded objects have it"));
            }
        }
    }
}

fn without_indexes(place: &str) -> String {
    place.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

/// Integers and other numbers stand for each other in Perl.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Places whose keys are data: device names, paths, privileges.
fn is_map(place: &str) -> bool {
    let last = place.rsplit('.').next().unwrap_or_default();
    place.starts_with("permissions.data") || ["nics", "blockstat", "errors"].contains(&last)
}

/// Objects at the same place that have different keys for a reason.
fn kind_of(value: &Value) -> String {
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let has = |key: &str| value.get(key).is_some();
    if has("upid") {
        return if has("endtime") || has("exitstatus") { "ended task" } else { "running task" }.to_owned();
    }
    if text("status") == "offline" {
        return "offline node".to_owned();
    }
    let unknown = if text("status") == "unknown" { "unknown " } else { "" };
    if has("vmid") && has("status") {
        return match text("status") {
            "unknown" => "unknown guest",
            "stopped" => "stopped guest",
            _ => "active guest",
        }
        .to_owned();
    }
    if has("type") && has("id") {
        // Without Sys.Audit a node's row has no numbers.
        let bare = if text("type") == "node" && !has("cpu") { "bare " } else { "" };
        return format!("{unknown}{bare}{}", text("type"));
    }
    if has("time") && value.as_object().is_some_and(|map| map.len() < 7) {
        return format!("sample of {}", value.as_object().map_or(0, serde_json::Map::len));
    }
    String::new()
}
