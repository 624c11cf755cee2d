//! STS over the access engine. Source: the AWS Security Token Service API reference (2011-06-15), a query protocol.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use millstream_access::{AccessError, AssumeRole, TemporaryCredentials};
use millstream_http::xml::Element;
use millstream_types::Clock;

use crate::authorize::{ASSUME_ROLE, Authorizer};
use crate::json_protocol::ServiceError;
use crate::query_protocol::{self, QueryRequest};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Members of `AssumeRole` that this node does not have.
const UNSUPPORTED: [&str; 6] = [
    "SerialNumber",
    "TokenCode",
    "SourceIdentity",
    "PolicyArns.member.1.arn",
    "Tags.member.1.Key",
    "TransitiveTagKeys.member.1",
];

/// The service.
pub struct Sts {
    authorizer: Authorizer,
    clock: Arc<dyn Clock>,
}

type Answer = Result<Response<Bytes>, ServiceError>;

impl Sts {
    /// The service over the access engine.
    #[must_use]
    pub fn new(authorizer: Authorizer, clock: Arc<dyn Clock>) -> Self {
        Self { authorizer, clock }
    }

    /// Answers a request: every operation that there is.
    pub(crate) fn call(&self, request: &QueryRequest) -> Response<Bytes> {
        let answer = match request.action.as_str() {
            "GetCallerIdentity" => self.caller_identity(request),
            "AssumeRole" => self.assume_role(request),
            "GetSessionToken" => self.session_token(request),
            other => Err(ServiceError::new(
                "InvalidAction",
                format!("STS operation `{other}` is not supported by this node"),
            )),
        };
        answer.unwrap_or_else(|error| query_protocol::error(NAMESPACE, &error, &request.request_id))
    }

    fn caller_identity(&self, request: &QueryRequest) -> Answer {
        self.answer(request, |result| {
            result.text("UserId", &self.authorizer.id(&request.caller));
            result.text("Account", &self.authorizer.place.account);
            result.text("Arn", &self.authorizer.arn(&request.caller));
        })
    }

    fn assume_role(&self, request: &QueryRequest) -> Answer {
        if let Some(name) = UNSUPPORTED.iter().find(|name| request.parameters.get(name).is_some()) {
            let name = name.split('.').next().unwrap_or(name);
            return Err(validation(format!("{name} is not supported by this node")));
        }
        let arn = required(request, "RoleArn")?;
        let session = required(request, "RoleSessionName")?;
        let wrong = || validation(format!("{arn} is invalid: expected the ARN of a role of this account"));
        let role = arn.strip_prefix(&self.authorizer.iam_arn("role/")).and_then(|role| role.rsplit('/').next());
        let role = role.ok_or_else(wrong)?;
        // The path must be right too: policies of callers go by the whole name.
        if self.authorizer.role_named(Some(role)).is_ok_and(|known| known != arn) {
            return Err(self.refused(request, arn, AccessError::NotTrusted { role: role.to_owned() }));
        }
        let mut context = self.authorizer.circumstances(&request.caller, None);
        if let Some(id) = request.parameters.get("ExternalId") {
            context.add("sts:ExternalId", id);
        }
        context.add("sts:RoleSessionName", session);
        let (own, account) = self.authorizer.identities(&request.caller);
        let ask = AssumeRole {
            role,
            resource: arn,
            action: ASSUME_ROLE,
            session,
            policy: request.parameters.get("Policy"),
            seconds: request.parameters.parsed("DurationSeconds")?,
            identities: &own,
            account: &account,
            context: &context,
        };
        let origin = request.origin.clone();
        let assumed = self.authorizer.access.assume(&request.caller, origin, &ask, self.clock.now());
        let (role, given) = assumed.map_err(|error| self.refused(request, arn, error))?;
        self.answer(request, |result| {
            show(result, &given);
            result.child("AssumedRoleUser", |user| {
                user.text("AssumedRoleId", &format!("AROA{}:{session}", role.id));
                let account = &self.authorizer.place.account;
                user.text("Arn", &format!("arn:aws:sts::{account}:assumed-role/{}/{session}", role.name));
            });
        })
    }

    fn session_token(&self, request: &QueryRequest) -> Answer {
        let seconds = request.parameters.parsed("DurationSeconds")?;
        if ["SerialNumber", "TokenCode"].iter().any(|name| request.parameters.get(name).is_some()) {
            return Err(validation("Multi-factor devices are not supported by this node".to_owned()));
        }
        let origin = request.origin.clone();
        let given = self.authorizer.access.user_session(&request.caller, origin, seconds, self.clock.now());
        let given = given.map_err(|error| match error {
            AccessError::NotTrusted { .. } => denied("Cannot call GetSessionToken with session credentials".to_owned()),
            other => other.into(),
        })?;
        self.answer(request, |result| show(result, &given))
    }

    /// The service says no more of a role that does not exist than of one that does not trust.
    fn refused(&self, request: &QueryRequest, role: &str, error: AccessError) -> ServiceError {
        match error {
            AccessError::NotTrusted { .. } => denied(format!(
                "User: {} is not authorized to perform: {ASSUME_ROLE} on resource: {role}",
                self.authorizer.arn(&request.caller),
            )),
            other => other.into(),
        }
    }

    fn answer(&self, request: &QueryRequest, content: impl FnOnce(&mut Element)) -> Answer {
        Ok(query_protocol::answer(NAMESPACE, &request.action, &request.request_id, content))
    }
}

fn show(result: &mut Element, given: &TemporaryCredentials) {
    result.child("Credentials", |credentials| {
        credentials.text("AccessKeyId", &given.access_key);
        credentials.text("SecretAccessKey", &given.secret);
        credentials.text("SessionToken", &given.token);
        credentials.text("Expiration", &crate::iam::date(given.expires.unwrap_or(i64::MAX)));
    });
}

fn required<'r>(request: &'r QueryRequest, name: &str) -> Result<&'r str, ServiceError> {
    request.parameters.get(name).ok_or_else(|| validation(format!("The request must contain the parameter {name}.")))
}

fn validation(message: String) -> ServiceError {
    ServiceError::new("ValidationError", message)
}

fn denied(message: String) -> ServiceError {
    ServiceError { status: 403, ..ServiceError::new("AccessDenied", message) }
}
