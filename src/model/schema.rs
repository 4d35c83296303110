//! JSON Schemas of the values that write themselves by hand. `src/schema.rs` makes the documents of it; only tests have it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::check::CheckId;
use crate::model::id::{NodeName, ServerId, VmId};
use crate::model::load::usage::Count;
use crate::model::past::series::Metric;
use crate::model::power::StepReason;

/// `described_as!(Row<'_>, Server)`: what `Row` serializes to has the fields of `Server`.
macro_rules! described_as {
    ($written:ty, $described:ty) => {
        impl schemars::JsonSchema for $written {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$described>::schema_name()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$described>::json_schema(generator)
            }
        }
    };
}
pub(crate) use described_as;

/// A value that is written in place, without a name of its own.
macro_rules! inline {
    ($type:ty, $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}
inline!(CheckId, json_schema!({ "type": "string", "pattern": "^[a-z-]+$" }));
inline!(ServerId, json_schema!({ "type": "string" }));
inline!(NodeName, json_schema!({ "type": "string" }));
inline!(VmId, json_schema!({ "type": "integer", "minimum": 100, "maximum": 999_999_999 }));
inline!(Count, json_schema!({ "type": "integer", "minimum": 0 }));
inline!(Metric, json_schema!({ "enum": Metric::ALL.map(Metric::as_str) }));
inline!(StepReason, json_schema!({ "type": "string" }));
