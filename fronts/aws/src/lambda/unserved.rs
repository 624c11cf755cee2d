//! What a function may ask for and this node does not have: refused by name, unless it asks for what is anyway.

use serde::Deserialize;
use serde_json::Value;

use super::create_function::unsupported;
use crate::json_protocol::ServiceError;

/// Members of `CreateFunction` and `UpdateFunctionConfiguration`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Unserved {
    tracing_config: Option<Value>,
    snap_start: Option<Value>,
    logging_config: Option<Value>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
    image_config: Option<Value>,
    code_signing_config_arn: Option<String>,
}

impl Unserved {
    /// Refuses what differs from what every function of this node has; `group` is the log group that its lines go to.
    pub(super) fn refuse(&self, group: &str) -> Result<(), ServiceError> {
        let other = |config: &Option<Value>, member: &str, is: &str| {
            config.as_ref().and_then(|config| config.get(member)?.as_str()).is_some_and(|value| value != is)
        };
        let named = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        for (what, asked) in [
            ("TracingConfig.Mode other than PassThrough", other(&self.tracing_config, "Mode", "PassThrough")),
            ("SnapStart.ApplyOn other than None", other(&self.snap_start, "ApplyOn", "None")),
            ("LoggingConfig.LogFormat other than Text", other(&self.logging_config, "LogFormat", "Text")),
            ("LoggingConfig.LogGroup other than the function's own", other(&self.logging_config, "LogGroup", group)),
            ("KMSKeyArn", named(&self.kms_key_arn)),
            ("ImageConfig", self.image_config.is_some()),
            ("CodeSigningConfigArn", named(&self.code_signing_config_arn)),
        ] {
            if asked {
                return Err(unsupported(what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_anyway_may_be_asked_for() {
        for (input, refused) in [
            (json!({}), None),
            (json!({ "TracingConfig": { "Mode": "PassThrough" }, "SnapStart": { "ApplyOn": "None" } }), None),
            (json!({ "LoggingConfig": { "LogFormat": "Text", "LogGroup": "/own" }, "KMSKeyArn": "" }), None),
            (json!({ "TracingConfig": { "Mode": "Active" } }), Some("TracingConfig")),
            (json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } }), Some("SnapStart")),
            (json!({ "LoggingConfig": { "LogFormat": "JSON" } }), Some("LogFormat")),
            (json!({ "LoggingConfig": { "LogGroup": "/other" } }), Some("LogGroup")),
            (json!({ "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1" }), Some("KMSKeyArn")),
        ] {
            let found = serde_json::from_value::<Unserved>(input.clone()).unwrap().refuse("/own");
            match refused {
                None => assert!(found.is_ok(), "{input}"),
                Some(name) => assert!(found.unwrap_err().message.contains(name), "{input}"),
            }
        }
    }
}
