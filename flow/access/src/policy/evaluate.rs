//! The verdict: one statement that denies outweighs all that allow; without one that allows nothing is allowed.

use super::request::{AccessRequest, RESOURCE_CHARS_MAX};
use super::statement::{Effect, Policy};

/// What policies say to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement is about it.
    NotAllowed,
}

/// Asks all policies.
pub fn evaluate<'p>(policies: impl IntoIterator<Item = &'p Policy>, request: &AccessRequest<'_>) -> Verdict {
    if request.resource.len() > RESOURCE_CHARS_MAX {
        return Verdict::NotAllowed;
    }
    let mut verdict = Verdict::NotAllowed;
    for statement in policies.into_iter().flat_map(|policy| &policy.statements) {
        match statement.effect {
            Effect::Deny if statement.covers(request) => return Verdict::Denied,
            Effect::Allow if verdict == Verdict::NotAllowed && statement.covers(request) => verdict = Verdict::Allowed,
            _ => {}
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::super::document::Use;
    use super::super::request::{Context, Identity};
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:tweets-dead";

    /// What one statement says of sending to the queue, as the user `anna`.
    fn verdict(statement: &str) -> Verdict {
        let context = Context::default()
            .with("aws:username", "anna")
            .with("aws:SourceIp", "127.0.0.1")
            .with("aws:CurrentTime", "2026-11-21T12:00:00Z")
            .with("aws:SecureTransport", "false")
            .with("s3:max-keys", "10")
            .with("aws:SourceArn", "arn:aws:sns:us-east-1:000000000000:news")
            .with("aws:TagKeys", "team")
            .with("aws:TagKeys", "cost");
        let identities = [Identity::new("AWS", "arn:aws:iam::000000000000:user/anna")];
        let purpose = if statement.contains("Principal\"") { Use::Resource } else { Use::Identity };
        let policy = Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#), purpose).unwrap();
        let request =
            AccessRequest { action: "sqs:SendMessage", resource: QUEUE, identities: &identities, context: &context };
        evaluate([&policy], &request)
    }

    #[test]
    fn actions_and_resources() {
        let said = |action: &str, resource: &str| {
            verdict(&format!(r#"{{"Effect":"Allow",{action},{resource}}}"#)) == Verdict::Allowed
        };
        let all = r#""Resource":"*""#;
        for (action, expected) in [
            (r#""Action":"*""#, true),
            (r#""Action":"*:*""#, true),
            (r#""Action":"sqs:*""#, true),
            (r#""Action":"SQS:sendmessage""#, true),
            (r#""Action":"sqs:Send*""#, true),
            (r#""Action":"sqs:Send?essage""#, true),
            (r#""Action":["sqs:ReceiveMessage","sqs:SendMessage"]"#, true),
            (r#""Action":"sqs:SendMessageBatch""#, false),
            (r#""Action":"sns:*""#, false),
            (r#""NotAction":"sns:*""#, true),
            (r#""NotAction":["sns:*","sqs:Send*"]"#, false),
        ] {
            assert_eq!(said(action, all), expected, "{action}");
        }
        for (resource, expected) in [
            (r#""Resource":"arn:aws:sqs:us-east-1:000000000000:tweets-dead""#, true),
            (r#""Resource":"arn:aws:sqs:us-east-1:000000000000:Tweets-dead""#, false),
            (r#""Resource":"arn:aws:sqs:*:*:tweets-*""#, true),
            (r#""Resource":["arn:aws:sqs:*:*:a","arn:aws:sqs:*"]"#, true),
            (r#""Resource":"arn:aws:sqs:*:*:${aws:username}-*""#, false),
            (r#""NotResource":"arn:aws:sqs:*:*:tweets-dead""#, false),
            (r#""NotResource":"arn:aws:sqs:*:*:other""#, true),
        ] {
            assert_eq!(said(r#""Action":"sqs:SendMessage""#, resource), expected, "{resource}");
        }
    }

    #[test]
    fn principals() {
        for (principal, expected) in [
            (r#""Principal":"*""#, true),
            (r#""Principal":{"AWS":"*"}"#, true),
            (r#""Principal":{"AWS":["arn:aws:iam::000000000000:user/anna"]}"#, true),
            (r#""Principal":{"AWS":"arn:aws:iam::000000000000:user/*"}"#, false),
            (r#""Principal":{"Service":"arn:aws:iam::000000000000:user/anna"}"#, false),
            (r#""NotPrincipal":{"AWS":"arn:aws:iam::000000000000:user/anna"}"#, false),
            (r#""NotPrincipal":{"AWS":"arn:aws:iam::000000000000:user/ben"}"#, true),
        ] {
            let statement = format!(r#"{{"Effect":"Allow",{principal},"Action":"sqs:*","Resource":"*"}}"#);
            assert_eq!(verdict(&statement) == Verdict::Allowed, expected, "{principal}");
        }
    }

    #[test]
    fn conditions() {
        for (condition, expected) in [
            (r#"{"StringEquals":{"aws:username":"anna"}}"#, true),
            (r#"{"StringEquals":{"AWS:UserName":["ben","anna"]}}"#, true),
            (r#"{"StringEquals":{"aws:username":"ANNA"}}"#, false),
            (r#"{"StringEquals":{"aws:username":"a*"}}"#, false),
            (r#"{"StringEqualsIgnoreCase":{"aws:username":"ANNA"}}"#, true),
            (r#"{"StringLike":{"aws:username":"a*"}}"#, true),
            (r#"{"StringNotLike":{"aws:username":"a*"}}"#, false),
            (r#"{"StringNotEquals":{"aws:username":["ben","anna"]}}"#, false),
            (r#"{"StringNotEquals":{"aws:username":["ben","carl"]}}"#, true),
            (r#"{"StringEquals":{"aws:username":"${aws:username}"}}"#, true),
            // A key that is not there.
            (r#"{"StringEquals":{"aws:nothing":"x"}}"#, false),
            (r#"{"StringNotEquals":{"aws:nothing":"x"}}"#, true),
            (r#"{"StringEqualsIfExists":{"aws:nothing":"x"}}"#, true),
            (r#"{"StringEqualsIfExists":{"aws:username":"x"}}"#, false),
            (r#"{"Null":{"aws:nothing":"true"}}"#, true),
            (r#"{"Null":{"aws:nothing":false}}"#, false),
            (r#"{"Null":{"aws:username":"false"}}"#, true),
            // Numbers, dates, truth values, addresses.
            (r#"{"NumericLessThanEquals":{"s3:max-keys":10}}"#, true),
            (r#"{"NumericLessThan":{"s3:max-keys":"10"}}"#, false),
            (r#"{"NumericNotEquals":{"s3:max-keys":"11"}}"#, true),
            (r#"{"NumericEquals":{"aws:username":"1"}}"#, false),
            (r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-11-21T11:00:00Z"}}"#, true),
            (r#"{"DateLessThan":{"aws:CurrentTime":"2026-11-21"}}"#, false),
            (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, false),
            (r#"{"Bool":{"aws:SecureTransport":false}}"#, true),
            (r#"{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}"#, true),
            (r#"{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","127.0.0.0/8"]}}"#, false),
            (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:n*"}}"#, true),
            (r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:*:*:other"}}"#, false),
            (r#"{"ArnNotLike":{"aws:SourceArn":"arn:aws:sns:*:*:n*"}}"#, false),
            // Keys of several values.
            (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost","x"]}}"#, true),
            (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":"team"}}"#, false),
            (r#"{"ForAllValues:StringEquals":{"aws:nothing":"x"}}"#, true),
            (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"team"}}"#, true),
            (r#"{"ForAnyValue:StringEquals":{"aws:nothing":"x"}}"#, false),
            (r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"team"}}"#, true),
            (r#"{"ForAllValues:StringNotEquals":{"aws:TagKeys":"team"}}"#, false),
            // All operators and all keys must hold.
            (r#"{"StringEquals":{"aws:username":"anna","aws:nothing":"x"}}"#, false),
            (r#"{"StringEquals":{"aws:username":"anna"},"Bool":{"aws:SecureTransport":"true"}}"#, false),
        ] {
            let statement = format!(r#"{{"Effect":"Allow","Action":"sqs:*","Resource":"*","Condition":{condition}}}"#);
            assert_eq!(verdict(&statement) == Verdict::Allowed, expected, "{condition}");
        }
    }

    /// It might be any resource: whatever denies is about it, and only what allows everything.
    #[test]
    fn an_unknown_resource_may_be_any() {
        let context = Context::default();
        for (statements, expected) in [
            (r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, Verdict::Allowed),
            (r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:sqs:*"}"#, Verdict::NotAllowed),
            (r#"{"Effect":"Allow","Action":"*","NotResource":"arn:aws:sqs:*:*:secret"}"#, Verdict::NotAllowed),
            (
                r#"{"Effect":"Allow","Action":"*","Resource":"*"},
                   {"Effect":"Deny","Action":"sqs:SendMessage","Resource":"arn:aws:sqs:*:*:secret"}"#,
                Verdict::Denied,
            ),
            (
                r#"{"Effect":"Allow","Action":"*","Resource":"*"},
                   {"Effect":"Deny","Action":"sqs:DeleteMessage","Resource":"arn:aws:sqs:*:*:secret"}"#,
                Verdict::Allowed,
            ),
        ] {
            let policy = Policy::parse(&format!(r#"{{"Statement":[{statements}]}}"#), Use::Identity).unwrap();
            let request = AccessRequest {
                action: "sqs:SendMessage",
                resource: super::super::request::UNKNOWN,
                identities: &[],
                context: &context,
            };
            assert_eq!(evaluate([&policy], &request), expected, "{statements}");
        }
    }

    #[test]
    fn a_denial_outweighs_everything() {
        let allow = r#"{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}"#;
        let deny = r#"{"Effect":"Deny","Action":"sqs:SendMessage","Resource":"arn:aws:sqs:*:*:tweets-dead"}"#;
        let other = r#"{"Effect":"Deny","Action":"sqs:SendMessage","Resource":"arn:aws:sqs:*:*:other"}"#;
        assert_eq!(verdict(&format!("[{allow}]")), Verdict::Allowed);
        assert_eq!(verdict(&format!("[{allow},{deny}]")), Verdict::Denied);
        assert_eq!(verdict(&format!("[{deny},{allow}]")), Verdict::Denied);
        assert_eq!(verdict(&format!("[{other},{allow}]")), Verdict::Allowed);
        assert_eq!(verdict(&format!("[{other}]")), Verdict::NotAllowed);
    }
}
