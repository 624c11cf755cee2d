//! Roles that services take on for what they do later: a delivery stream's, an application's, an integration's. Where a
//! service comes without one, the policy of what it touches is asked.
//!
//! Sources: the developer guides, "Grant Firehose access" (Firehose), "Granting permissions" (Kinesis Analytics for SQL
//! applications), "API Gateway permissions model for invoking an API".

use millstream_access::Caller;
use millstream_access::policy::Identity;
use millstream_types::{CheckRole, RoleUse};

use super::{ASSUME_ROLE, Authorizer, Need};
use crate::place::Place;

/// What records of a stream are read with.
const READ_STREAM: [&str; 3] = ["kinesis:DescribeStream", "kinesis:GetShardIterator", "kinesis:GetRecords"];
/// The same of a delivery stream. The guide allows all that begin with `Get` and names none of them.
const READ_DELIVERY_STREAM: [&str; 2] = ["firehose:DescribeDeliveryStream", "firehose:GetRecords"];

/// A service that takes on roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Lambda: the roles of functions.
    Lambda,
    /// Firehose: the roles of delivery streams' sources and destinations.
    Firehose,
    /// Kinesis Analytics: the roles of applications' inputs and outputs.
    KinesisAnalytics,
    /// API Gateway: the roles of integrations.
    ApiGateway,
    /// SNS: what topics deliver to.
    Sns,
}

impl Service {
    /// Its name in trust policies.
    pub(crate) fn principal(self) -> &'static str {
        match self {
            Self::Lambda => "lambda.amazonaws.com",
            Self::Firehose => "firehose.amazonaws.com",
            Self::KinesisAnalytics => "kinesisanalytics.amazonaws.com",
            Self::ApiGateway => "apigateway.amazonaws.com",
            Self::Sns => "sns.amazonaws.com",
        }
    }

    /// What its calls are named after.
    fn session(self) -> &'static str {
        self.principal().split('.').next().unwrap_or_default()
    }

    /// Whether it comes as itself where it was given no role. The others always have one in the cloud; here a pipeline file
    /// need not name it.
    fn comes_as_itself(self) -> bool {
        matches!(self, Self::ApiGateway | Self::Sns)
    }

    /// The ARN of what a service does something for.
    pub(crate) fn holder_arn(self, place: &Place, holder: &str) -> String {
        match self {
            Self::Lambda => place.arn("lambda", &format!("function:{holder}")),
            Self::Firehose => place.arn("firehose", &format!("deliverystream/{holder}")),
            Self::KinesisAnalytics => place.arn("kinesisanalytics", &format!("application/{holder}")),
            Self::ApiGateway => place.arn("execute-api", holder),
            Self::Sns => place.arn("sns", holder),
        }
    }
}

impl Authorizer {
    /// Whether a service can take on a role for a resource of its own, by the role's trust policy. A role that does not exist
    /// is taken on by nobody; on development nodes by everybody.
    pub(crate) fn service_may_assume(&self, service: Service, role: &str, holder: &str) -> bool {
        self.take_on(service, role, holder).is_ok()
    }

    /// Whether a role lets a service do all that is needed.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(crate) fn role_may(&self, service: Service, role: &str, holder: &str, needs: &[Need]) -> Result<(), String> {
        match self.take_on(service, role, holder)? {
            Some(caller) => self.check(&caller, needs, &self.circumstances(&caller, None)),
            None => Ok(()),
        }
    }

    /// Whether the policy of what a service touches lets it in as itself.
    pub(crate) fn lets_in(&self, service: Service, holder: &str, use_of: RoleUse<'_>) -> bool {
        self.service_may(service, holder, &needs(&self.place, use_of)).is_ok()
    }

    /// The need of whoever gives a service a role, which may not exist yet.
    pub(crate) fn pass_role(&self, service: Service, role: &str) -> Need {
        // Its name is what counts, whatever stands before.
        let name = role.rsplit('/').next().unwrap_or(role);
        let role = self.role_named(Some(name)).unwrap_or_else(|_| self.iam_arn(&format!("role/{name}")));
        let circumstances = vec![("iam:PassedToService", service.principal().to_owned())];
        Need { circumstances, ..Need::new("iam:PassRole", role) }
    }

    /// `None` may do everything.
    fn take_on(&self, service: Service, role: &str, holder: &str) -> Result<Option<Caller>, String> {
        let identity = Identity::new("Service", service.principal());
        let context = self.circumstances_of(service, holder).with("sts:ExternalId", &*self.place.account);
        let taken = self.access.take_on(role, &identity, ASSUME_ROLE, service.session(), &context, self.clock.now());
        taken.map_err(|_| {
            let principal = service.principal();
            format!(
                "{principal} cannot take on the role {role}: it does not exist, or its trust policy does not allow it"
            )
        })
    }
}

/// What the roles of one service's resources allow.
pub struct ServiceRoles {
    authorizer: Authorizer,
    service: Service,
}

impl ServiceRoles {
    /// The roles of a service.
    #[must_use]
    pub fn new(authorizer: Authorizer, service: Service) -> Self {
        Self { authorizer, service }
    }

    /// Whether a role can be given to a resource of the service. An empty one is none.
    pub(crate) fn may_have(&self, role: &str, holder: &str) -> bool {
        role.is_empty() || self.authorizer.service_may_assume(self.service, role, holder)
    }
}

impl CheckRole for ServiceRoles {
    fn check(&self, role: &str, holder: &str, use_of: RoleUse<'_>) -> Result<(), String> {
        let needs = needs(&self.authorizer.place, use_of);
        match role {
            "" if self.service.comes_as_itself() => self.authorizer.service_may(self.service, holder, &needs),
            "" => Ok(()),
            role => self.authorizer.role_may(self.service, role, holder, &needs),
        }
    }
}

/// What a service does, in the rights that it takes.
fn needs(place: &Place, use_of: RoleUse<'_>) -> Vec<Need> {
    let all = |actions: &[&str], resource: String| -> Vec<Need> {
        actions.iter().map(|action| Need::new(*action, resource.as_str())).collect()
    };
    match use_of {
        RoleUse::ReadStream(name) => match name.strip_prefix("delivery/") {
            Some(name) => all(&READ_DELIVERY_STREAM, place.arn("firehose", &format!("deliverystream/{name}"))),
            None => all(&READ_STREAM, place.arn("kinesis", &format!("stream/{name}"))),
        },
        RoleUse::WriteStream(name) => match name.strip_prefix("delivery/") {
            Some(name) => all(&["firehose:PutRecordBatch"], place.arn("firehose", &format!("deliverystream/{name}"))),
            None => all(&["kinesis:PutRecords"], place.arn("kinesis", &format!("stream/{name}"))),
        },
        RoleUse::WriteObject { bucket, object } => all(&["s3:PutObject"], format!("arn:aws:s3:::{bucket}/{object}")),
        RoleUse::ReadObject { bucket, object } => all(&["s3:GetObject"], format!("arn:aws:s3:::{bucket}/{object}")),
        RoleUse::SendMessage(name) => all(&["sqs:SendMessage"], place.arn("sqs", name)),
        RoleUse::Invoke(name) => all(&["lambda:InvokeFunction"], place.arn("lambda", &format!("function:{name}"))),
    }
}
