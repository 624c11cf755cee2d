//! Reading a policy document: JSON in, statements out, every mistake named.

use serde_json::{Map, Value};

use super::condition::Condition;
use super::operator::{Operator, Wanted};
use super::pattern::{Pattern, Syntax};
use super::request::Identity;
use super::statement::{Effect, Named, Policy, Principals, Selection, Statement};

/// The largest document that is read at all, bytes; every kind of policy has a smaller limit of its own.
pub const DOCUMENT_BYTES_MAX: usize = 131_072;

/// The versions of the language: only the newer one has variables.
const OLD: &str = "2008-10-17";
const NEW: &str = "2012-10-17";

/// What a document is for: which members its statements must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Of a user, a role or a session: about resources.
    Identity,
    /// Of a role: about principals.
    Trust,
    /// Of a resource: about both.
    Resource,
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedPolicy(pub String);

type Read<T> = Result<T, MalformedPolicy>;

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// [`MalformedPolicy`] with the first mistake.
    pub fn parse(text: &str, purpose: Use) -> Result<Self, MalformedPolicy> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(wrong(format!("expected at most {DOCUMENT_BYTES_MAX} bytes, found {}", text.len())));
        }
        let Ok(Value::Object(document)) = serde_json::from_str(text) else {
            return Err(wrong("Syntax errors in policy."));
        };
        known(&document, &["Version", "Id", "Statement"])?;
        let variables = match document.get("Version") {
            None => false,
            Some(Value::String(version)) if version == OLD => false,
            Some(Value::String(version)) if version == NEW => true,
            Some(_) => return Err(wrong("Policy document must be version 2012-10-17 or greater.")),
        };
        let reader = Reader { purpose, variables };
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => {
                statements.iter().map(|statement| reader.statement(statement)).collect::<Read<_>>()?
            }
            Some(statement @ Value::Object(_)) => vec![reader.statement(statement)?],
            _ => return Err(wrong("Syntax errors in policy: expected Statement, an object or a list of them.")),
        };
        Ok(Self { statements })
    }
}

struct Reader {
    purpose: Use,
    variables: bool,
}

impl Reader {
    fn statement(&self, statement: &Value) -> Read<Statement> {
        let Value::Object(statement) = statement else {
            return Err(wrong("Syntax errors in policy: a statement is no object."));
        };
        known(statement, &MEMBERS)?;
        if !matches!(statement.get("Sid"), None | Some(Value::String(_))) {
            return Err(wrong("Statement IDs (SID) must be texts."));
        }
        let effect = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(wrong("Missing required field Effect: expected Allow or Deny.")),
        };
        let actions = self.selection(statement, "Action", "NotAction", action)?;
        let actions = actions.ok_or_else(|| wrong("Missing required field Action"))?;
        Ok(Statement {
            effect,
            principals: self.principals(statement)?,
            actions,
            resources: self.resources(statement)?,
            conditions: self.conditions(statement.get("Condition"))?,
        })
    }

    /// A member or its opposite, never both.
    fn selection(
        &self,
        statement: &Map<String, Value>,
        member: &str,
        opposite: &str,
        check: fn(&str) -> Read<()>,
    ) -> Read<Option<Selection>> {
        let (value, others) = match (statement.get(member), statement.get(opposite)) {
            (Some(_), Some(_)) => return Err(wrong(format!("Expected either {member} or {opposite}, found both"))),
            (Some(value), None) => (value, false),
            (None, Some(value)) => (value, true),
            (None, None) => return Ok(None),
        };
        let syntax = Syntax { wildcards: true, variables: self.variables };
        let read = |text: String| {
            check(&text)?;
            Pattern::parse(&text, syntax).map_err(wrong)
        };
        let patterns = texts(value, member)?.into_iter().map(read).collect::<Read<Vec<_>>>()?;
        if patterns.is_empty() {
            return Err(wrong(format!("{member} must not be empty.")));
        }
        Ok(Some(Selection { others, patterns }))
    }

    fn resources(&self, statement: &Map<String, Value>) -> Read<Option<Selection>> {
        let found = self.selection(statement, "Resource", "NotResource", resource)?;
        match (self.purpose, &found) {
            (Use::Identity | Use::Resource, None) => Err(wrong("Policy statement must contain resources.")),
            (Use::Trust, Some(_)) => Err(wrong("Has prohibited field Resource")),
            _ => Ok(found),
        }
    }

    fn principals(&self, statement: &Map<String, Value>) -> Read<Option<Principals>> {
        let (value, others) = match (statement.get("Principal"), statement.get("NotPrincipal")) {
            (None, None) if self.purpose == Use::Identity => return Ok(None),
            (None, None) => return Err(wrong("Missing required field Principal")),
            _ if self.purpose == Use::Identity => return Err(wrong("Has prohibited field Principal")),
            (Some(_), Some(_)) => return Err(wrong("Expected either Principal or NotPrincipal, found both")),
            (Some(value), None) => (value, false),
            (None, Some(value)) => (value, true),
        };
        let mut named = Vec::new();
        match value {
            Value::String(any) if any == "*" => named.push(Named::Anyone),
            Value::Object(kinds) if !kinds.is_empty() => {
                for (kind, names) in kinds {
                    if !PRINCIPAL_KINDS.contains(&kind.as_str()) {
                        return Err(wrong(format!("Invalid principal in policy: \"{kind}\"")));
                    }
                    named.extend(texts(names, "Principal")?.into_iter().map(|name| match name.as_str() {
                        "*" if kind == "AWS" => Named::Anyone,
                        _ => Named::One(Identity { kind: kind.clone(), name }),
                    }));
                }
            }
            _ => return Err(wrong("Invalid principal in policy")),
        }
        Ok(Some(Principals { others, named }))
    }

    fn conditions(&self, conditions: Option<&Value>) -> Read<Vec<Condition>> {
        let operators = match conditions {
            None => return Ok(Vec::new()),
            Some(Value::Object(operators)) => operators,
            Some(_) => return Err(wrong("Syntax errors in policy: Condition is no object.")),
        };
        let mut read = Vec::new();
        for (name, keys) in operators {
            let operator = Operator::parse(name).ok_or_else(|| wrong(format!("Invalid Condition type : {name}.")))?;
            let Value::Object(keys) = keys else {
                return Err(wrong(format!("Syntax errors in policy: {name} is no object.")));
            };
            for (key, values) in keys {
                if !key.contains(':') {
                    return Err(wrong(format!("Condition keys must be prefaced by a vendor, found {key}.")));
                }
                let parse = |text: String| {
                    Wanted::parse(&text, operator.test, self.variables)
                        .map_err(|reason| wrong(format!("Invalid value of {key}: {reason}.")))
                };
                let wanted = texts(values, key)?.into_iter().map(parse).collect::<Read<Vec<_>>>()?;
                read.push(Condition { operator, key: key.to_ascii_lowercase(), wanted });
            }
        }
        Ok(read)
    }
}

const MEMBERS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

const PRINCIPAL_KINDS: [&str; 4] = ["AWS", "Service", "Federated", "CanonicalUser"];

fn known(object: &Map<String, Value>, members: &[&str]) -> Read<()> {
    match object.keys().find(|member| !members.contains(&member.as_str())) {
        Some(member) => Err(wrong(format!("Syntax errors in policy: unknown member {member}."))),
        None => Ok(()),
    }
}

/// A text, a number, a truth value, or a list of them.
fn texts(value: &Value, member: &str) -> Read<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(wrong(format!("Syntax errors in policy: expected texts as {member}."))),
    };
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// `*`, or a service and an action.
fn action(text: &str) -> Read<()> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '*' | '?' | '.');
    match text.split_once(':') {
        _ if text == "*" => Ok(()),
        Some((vendor, name)) if !vendor.is_empty() && !name.is_empty() => {
            if vendor.chars().all(allowed) && name.chars().all(allowed) {
                return Ok(());
            }
            Err(wrong(format!("Action {text} has characters that no action has.")))
        }
        _ => Err(wrong("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")),
    }
}

/// `*`, or a full name.
fn resource(text: &str) -> Read<()> {
    let full = text.starts_with("arn:") && text.splitn(6, ':').count() == 6;
    // A wildcard may stand for some of the parts: `arn:aws:sqs:*`.
    let shortened = text.starts_with("arn:") && text.contains('*');
    if text == "*" || full || shortened || text.starts_with('*') || text.starts_with("${") {
        return Ok(());
    }
    Err(wrong(format!("Resource {text} must be in ARN format or \"*\".")))
}

fn wrong(reason: impl Into<String>) -> MalformedPolicy {
    MalformedPolicy(reason.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(statement: &str, purpose: Use) -> String {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        Policy::parse(&text, purpose).map_or_else(|malformed| malformed.0, |_| String::new())
    }

    #[test]
    fn mistakes_are_named() {
        for (statement, expected) in [
            ("[]", "expected Statement"),
            ("[1]", "a statement is no object"),
            (r#"{"Action":"*","Resource":"*"}"#, "Effect"),
            (r#"{"Effect":"allow","Action":"*","Resource":"*"}"#, "Effect"),
            (r#"{"Effect":"Allow","Resource":"*"}"#, "Missing required field Action"),
            (r#"{"Effect":"Allow","Action":"*"}"#, "must contain resources"),
            (r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#, "must not be empty"),
            (r#"{"Effect":"Allow","Action":"SendMessage","Resource":"*"}"#, "prefaced by a vendor"),
            (r#"{"Effect":"Allow","Action":"sqs:(a+)+","Resource":"*"}"#, "characters"),
            (r#"{"Effect":"Allow","Action":"sqs:*","NotAction":"sqs:*","Resource":"*"}"#, "found both"),
            (r#"{"Effect":"Allow","Action":"sqs:*","Resource":"tweets"}"#, "must be in ARN format"),
            (r#"{"Effect":"Allow","Action":"sqs:*","Resource":{"a":1}}"#, "expected texts"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}"#, "prohibited field Principal"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Then":1}"#, "unknown member Then"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Like":{"a:b":"c"}}}"#, "Condition type"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a:b":"c"}}}"#, "neither"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"b":true}}}"#, "prefaced"),
        ] {
            let found = reason(statement, Use::Identity);
            assert!(found.contains(expected), "{statement}: {found}");
        }
        for (statement, expected) in [
            (r#"{"Effect":"Allow","Action":"sts:AssumeRole"}"#, "Missing required field Principal"),
            (r#"{"Effect":"Allow","Action":"*","Principal":"*","Resource":"*"}"#, "prohibited field Resource"),
            (r#"{"Effect":"Allow","Action":"*","Principal":{"Who":"me"}}"#, "Invalid principal"),
            (r#"{"Effect":"Allow","Action":"*","Principal":"me"}"#, "Invalid principal"),
        ] {
            let found = reason(statement, Use::Trust);
            assert!(found.contains(expected), "{statement}: {found}");
        }
        for text in ["", "{", "[]", r#"{"Version":"2020-01-01","Statement":[]}"#, &"[".repeat(100_000)] {
            assert!(Policy::parse(text, Use::Identity).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in r#"[{}\[\]":,a-z*?$A]{0,64}"#) {
            let statement = r#"{"Effect":"Allow","Action":"a:*","Resource":""#;
            let _ = Policy::parse(&text, Use::Identity);
            let _ = Policy::parse(&format!(r#"{{"Statement":{statement}{text}"}}}}"#), Use::Identity);
        }
    }
}
