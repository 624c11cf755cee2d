//! What a pipeline file says of roles and users: who may take a role on, and what both may do.
//!
//! Statements become one policy document; the access engine reads it when the file is applied.

use serde::Deserialize;
use serde_json::{Value, json};
use toml::Spanned;

use super::resolve::Resolver;
use super::source::Located;

/// Who may take a role on unless the file says otherwise: the node, for functions.
const FUNCTIONS: &str = "lambda.amazonaws.com";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleTable {
    pub(super) name: Spanned<String>,
    /// Services by their names, users and accounts by their ARNs.
    #[serde(default)]
    assumed_by: Vec<String>,
    #[serde(default)]
    attach: Vec<String>,
    #[serde(default)]
    allow: Vec<StatementTable>,
    #[serde(default)]
    deny: Vec<StatementTable>,
    policy: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserTable {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    attach: Vec<String>,
    #[serde(default)]
    allow: Vec<StatementTable>,
    #[serde(default)]
    deny: Vec<StatementTable>,
    policy: Option<String>,
}

/// What both may say of rights.
struct GrantsTable {
    /// Shared policies by name.
    attach: Vec<String>,
    allow: Vec<StatementTable>,
    deny: Vec<StatementTable>,
    /// A whole policy document, instead of `allow` and `deny`.
    policy: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementTable {
    actions: Vec<String>,
    #[serde(default = "everything")]
    resources: Vec<String>,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// A role to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSpec {
    /// Its name.
    pub name: String,
    /// The policy document that says who may take it on.
    pub trust: String,
    /// What it may do.
    pub grants: GrantsSpec,
}

/// A user to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub grants: GrantsSpec,
}

/// What a role or a user may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantsSpec {
    /// Shared policies, by name.
    pub attach: Vec<String>,
    /// A policy document of its own.
    pub policy: Option<String>,
}

impl Resolver<'_> {
    pub(super) fn role(&mut self, table: RoleTable) -> Located<RoleSpec> {
        let line = self.line(&table.name);
        let RoleTable { name, assumed_by, attach, allow, deny, policy } = table;
        let by = if assumed_by.is_empty() { vec![FUNCTIONS.to_owned()] } else { assumed_by };
        let grants = self.grants(line, GrantsTable { attach, allow, deny, policy });
        Located { value: RoleSpec { name: name.into_inner(), trust: trust(by), grants }, line }
    }

    pub(super) fn user(&mut self, table: UserTable) -> Located<UserSpec> {
        let line = self.line(&table.name);
        let UserTable { name, attach, allow, deny, policy } = table;
        let grants = self.grants(line, GrantsTable { attach, allow, deny, policy });
        Located { value: UserSpec { name: name.into_inner(), grants }, line }
    }

    fn grants(&mut self, line: usize, table: GrantsTable) -> GrantsSpec {
        let statements = statements("Allow", table.allow).chain(statements("Deny", table.deny)).collect::<Vec<_>>();
        if table.policy.is_some() && !statements.is_empty() {
            let message = "expected either `policy` or `allow` and `deny`, found both".to_owned();
            self.wrong(line, message, "put all statements in one of them");
        }
        let own = (!statements.is_empty()).then(|| document(statements));
        GrantsSpec { attach: table.attach, policy: table.policy.or(own) }
    }
}

fn statements(effect: &'static str, tables: Vec<StatementTable>) -> impl Iterator<Item = Value> {
    tables
        .into_iter()
        .map(move |table| json!({ "Effect": effect, "Action": table.actions, "Resource": table.resources }))
}

fn trust(assumed_by: Vec<String>) -> String {
    let (accounts, services): (Vec<_>, Vec<_>) =
        assumed_by.into_iter().partition(|name| name.starts_with("arn:") || name.bytes().all(|b| b.is_ascii_digit()));
    let mut principal = json!({});
    if !accounts.is_empty() {
        principal["AWS"] = json!(accounts);
    }
    if !services.is_empty() {
        principal["Service"] = json!(services);
    }
    document(vec![json!({ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" })])
}

fn document(statements: Vec<Value>) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

#[cfg(test)]
mod tests {
    use crate::pipeline::Pipeline;

    #[test]
    fn roles_and_users_are_policy_documents() {
        let text = r#"
name = "p"

[[role]]
name = "tweets"
attach = ["AWSLambdaKinesisExecutionRole"]
allow = [{ actions = ["sqs:SendMessage"], resources = ["arn:aws:sqs:*:*:dead"] }]
deny = [{ actions = ["sqs:PurgeQueue"] }]

[[user]]
name = "anna"

[[function]]
name = "decode"
runtime = "python3.11"
handler = "app.handler"
code = "decode"
role = "tweets"
"#;
        let pipeline = Pipeline::parse("p", text).unwrap();
        let role = &pipeline.roles[0].value;
        assert!(role.trust.contains(r#"{"Service":["lambda.amazonaws.com"]}"#), "{}", role.trust);
        let policy = role.grants.policy.as_deref().unwrap();
        assert!(policy.contains(r#"{"Effect":"Deny","Action":["sqs:PurgeQueue"],"Resource":["*"]}"#), "{policy}");
        assert_eq!(pipeline.users[0].value.grants.policy, None);
        assert_eq!(pipeline.functions[0].value.role.as_deref(), Some("tweets"));
        let lost = text.replace("role = \"tweets\"", "role = \"tweet\"");
        let mistakes = Pipeline::parse("p", &lost).unwrap_err();
        assert_eq!(mistakes[0].hint, "did you mean `tweets`?");
    }
}
