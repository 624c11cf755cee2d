//! A function as answers show it.

use millstream_catalog::FunctionDefinition;
use serde_json::{Value, json};

use super::Lambda;
use super::create_function::{ARCHITECTURE, EPHEMERAL_STORAGE_MIB};

impl Lambda {
    /// A function, or a version of one.
    pub(super) fn shown(&self, function: &FunctionDefinition) -> Value {
        self.shown_as(function, &function.reference())
    }

    /// The same under the name that it was asked for by, such as an alias.
    pub(super) fn shown_as(&self, function: &FunctionDefinition, reference: &str) -> Value {
        let at = jiff::Timestamp::from_millisecond(function.modified).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let mut shown = json!({
            "FunctionName": function.name,
            "FunctionArn": self.arn(reference),
            "Runtime": function.runtime,
            "Role": function.role,
            "Handler": function.handler,
            "CodeSize": function.code_bytes,
            "Description": function.description,
            "Timeout": function.timeout_seconds,
            "MemorySize": function.memory_mib,
            "LastModified": at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string(),
            "CodeSha256": function.code_hash,
            "Version": function.version_text(),
            "TracingConfig": { "Mode": "PassThrough" },
            "RevisionId": function.revision,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": [ARCHITECTURE],
            "EphemeralStorage": { "Size": EPHEMERAL_STORAGE_MIB },
        });
        if !function.environment.is_empty() {
            shown["Environment"] = json!({ "Variables": function.environment });
        }
        if let Some(target) = &function.dead_letter_target {
            shown["DeadLetterConfig"] = json!({ "TargetArn": target });
        }
        shown
    }
}
