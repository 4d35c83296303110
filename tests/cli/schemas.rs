//! Whatever a test has the binary print under the name of a schema is what `docs/schema` says, and no more than that.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

/// One form of a schema: a document, or a line.
struct Form {
    validator: Validator,
}

thread_local! {
    static KNOWN: RefCell<HashMap<(String, &'static str), Form>> = RefCell::default();
}

/// Fails unless each line of a text that names a schema fits it. What is not JSON with a schema is left alone.
pub(crate) fn fits(stdout: &str) {
    let mut is_stream = false;
    for line in stdout.lines().filter(|line| line.starts_with('{')) {
        let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
        is_stream |= value["event"] == "snapshot";
        if is_stream {
            fits_stream(&value);
        } else if value["schema"].as_str().is_some_and(|name| name.starts_with("ecobox.")) {
            fits_one(&value);
        }
    }
}

/// The same for one value that names its schema.
pub(crate) fn fits_one(value: &Value) {
    let schema = value["schema"].as_str().unwrap();
    let document = read(schema)["$defs"]["Document"].take();
    let fields = document["required"].as_array().unwrap();
    if fields.iter().all(|field| value.get(field.as_str().unwrap()).is_some()) {
        check(schema, "Document", value);
    } else {
        let mut row = value.clone();
        row.as_object_mut().unwrap().remove("schema");
        check(schema, "Line", &row);
    }
}

/// The same for a line of `ecobox watch`.
pub(crate) fn fits_stream(line: &Value) {
    check("ecobox.watch/1", if line["event"] == "snapshot" { "Document" } else { "Line" }, line);
}

fn check(schema: &str, form: &'static str, value: &Value) {
    KNOWN.with_borrow_mut(|known| {
        let known = known.entry((schema.to_owned(), form)).or_insert_with(|| strict(schema, form));
        let errors: Vec<String> = known
            .validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{schema} ({form}) is not what docs/schema says. A new field of a type with `derive(JsonSchema)` is described \
             by `UPDATE=1 cargo test schemas_are_current`, another one in the `schema.rs` beside its type.\n{}\n{value}",
            errors.join("\n")
        );
    });
}

/// What is committed.
fn read(schema: &str) -> Value {
    let file = schema.trim_start_matches("ecobox.").replace('/', "-") + ".json";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{schema} has no schema: name its report in src/schema.rs ({}: {error})", path.display())
    });
    serde_json::from_str(&text).unwrap()
}

/// The form as it is committed, but without the right to have other fields.
fn strict(schema: &str, form: &'static str) -> Form {
    let mut whole = read(schema);
    let mut definitions = whole["$defs"].take();
    let definitions = definitions.as_object_mut().unwrap();
    let line = definitions["Line"].clone();
    if let Some([row]) = line["allOf"].as_array().map(Vec::as_slice) {
        // Its name was taken off.
        definitions["Line"] = row.clone();
    }
    let parts: BTreeSet<String> = definitions.values().filter_map(part).collect();
    for (name, definition) in definitions.iter_mut() {
        close(definition, !parts.contains(name));
    }
    let whole = json!({ "$ref": format!("#/$defs/{form}"), "$defs": definitions });
    Form { validator: jsonschema::draft202012::new(&whole).unwrap() }
}

/// The definition that is part of this one, its fields beside others.
fn part(definition: &Value) -> Option<String> {
    let branches = definition["oneOf"].as_array().into_iter().flatten();
    let mut all = branches.chain([definition]).filter(|schema| schema["properties"].is_object());
    let named = all.find_map(|schema| schema["$ref"].as_str());
    Some(named?.trim_start_matches("#/$defs/").to_owned())
}

/// Allows no fields but those that are described.
fn close(schema: &mut Value, whole: bool) {
    let Some(object) = schema.as_object_mut() else { return };
    let combines = ["$ref", "oneOf", "anyOf", "allOf"].iter().any(|word| object.contains_key(*word));
    let has_fields = object.get("properties").is_some_and(Value::is_object);
    if has_fields && whole {
        object.insert(if combines { "unevaluatedProperties" } else { "additionalProperties" }.to_owned(), json!(false));
    }
    for word in ["oneOf", "anyOf", "allOf"] {
        for branch in object.get_mut(word).and_then(Value::as_array_mut).into_iter().flatten() {
            close(branch, !has_fields);
        }
    }
    for field in object.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        close(field.1, true);
    }
    if let Some(items) = object.get_mut("items") {
        close(items, true);
    }
}

#[test]
fn what_is_not_described_does_not_fit() {
    let failure = json!({ "server": "nas", "kind": "unreachable", "message": "nas is offline" });
    let good = json!({ "schema": "ecobox.status/1", "generated_at": "2026-01-02T03:04:05Z", "servers": [], "failures": [failure] });
    fits_one(&good);
    let wrong = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let ends = std::panic::catch_unwind(|| fits_one(&value));
        std::panic::set_hook(hook);
        assert!(ends.is_err(), "{value} fits");
    };
    wrong(&|value| value["more"] = json!(1));
    wrong(&|value| drop(value.as_object_mut().unwrap().remove("failures")));
    wrong(&|value| value["failures"][0]["kind"] = json!("tired"));
    wrong(&|value| value["failures"][0]["advice"] = json!("sleep"));
    wrong(&|value| value["servers"] = json!([{ "id": "nas" }]));
    wrong(&|value| value["generated_at"] = json!(5));
}
