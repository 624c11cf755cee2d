//! Who calls, in the cloud's names: ARNs and unique ids of users, roles and sessions.

use millstream_access::Caller;
use millstream_access::policy::Identity;
use millstream_catalog::{FunctionDefinition, PolicyDefinition, PolicyReference, RoleDefinition, UserDefinition};

use super::Authorizer;

impl Authorizer {
    /// `arn:aws:iam::ACCOUNT:RESOURCE`: names of the access engine have no region.
    pub(crate) fn iam_arn(&self, resource: &str) -> String {
        format!("arn:aws:iam::{}:{resource}", self.place.account)
    }

    pub(crate) fn user_arn(&self, user: &UserDefinition) -> String {
        self.iam_arn(&format!("user{}{}", user.path, user.name))
    }

    pub(crate) fn role_arn(&self, role: &RoleDefinition) -> String {
        self.iam_arn(&format!("role{}{}", role.path, role.name))
    }

    pub(crate) fn policy_arn(&self, policy: &PolicyDefinition) -> String {
        self.iam_arn(&format!("policy{}{}", policy.path, policy.name))
    }

    /// The ARN of a policy that somebody has attached.
    pub(crate) fn reference_arn(&self, reference: &PolicyReference) -> String {
        match reference {
            PolicyReference::Own(name) => match self.access.policy(name) {
                Ok(policy) => self.policy_arn(&policy),
                Err(_) => self.iam_arn(&format!("policy/{name}")),
            },
            PolicyReference::Service(name) => {
                let path = self.access.service_policy(name).map_or("/", |policy| &policy.path);
                format!("arn:aws:iam::aws:policy{path}{name}")
            }
        }
    }

    /// Who calls, as messages and `GetCallerIdentity` name it.
    pub(crate) fn arn(&self, caller: &Caller) -> String {
        let session =
            |role: &str, session: &str| format!("arn:aws:sts::{}:assumed-role/{role}/{session}", self.place.account);
        match caller {
            Caller::Root => self.iam_arn("root"),
            Caller::User { name } => match self.access.user(name) {
                Ok(user) => self.user_arn(&user),
                Err(_) => self.iam_arn(&format!("user/{name}")),
            },
            Caller::Role(taken) => session(&taken.role, &taken.session),
            Caller::Function { name } => match self.access.function_role(name) {
                // Sessions are called after the function, whatever its version.
                Some(role) => session(&role, FunctionDefinition::split_reference(name).0),
                None => self.place.arn("lambda", &format!("function:{name}")),
            },
        }
    }

    /// The unique id of who calls: `AIDA…`, `AROA…:SESSION`, the account's number.
    pub(crate) fn id(&self, caller: &Caller) -> String {
        let of_role = |role: &str, session: &str| {
            self.access.role(role).map_or_else(|_| session.to_owned(), |role| format!("{}:{session}", role_id(&role)))
        };
        match caller {
            Caller::Root => self.place.account.clone(),
            Caller::User { name } => self.access.user(name).map_or_else(|_| name.clone(), |user| user_id(&user)),
            Caller::Role(taken) => of_role(&taken.role, &taken.session),
            Caller::Function { name } => match self.access.function_role(name) {
                Some(role) => of_role(&role, FunctionDefinition::split_reference(name).0),
                None => name.clone(),
            },
        }
    }

    /// The ARN of the role itself for whoever has taken one on, else of who calls.
    pub(crate) fn principal_arn(&self, caller: &Caller) -> String {
        let role = match caller {
            Caller::Role(taken) => Some(taken.role.clone()),
            Caller::Function { name } => self.access.function_role(name),
            _ => None,
        };
        match role.and_then(|role| self.access.role(&role).ok()) {
            Some(role) => self.role_arn(&role),
            None => self.arn(caller),
        }
    }

    /// The names that trust policies may know a caller by: its own, and those of its account.
    pub(crate) fn identities(&self, caller: &Caller) -> (Vec<Identity>, Vec<Identity>) {
        let named = |name: String| Identity::new("AWS", name);
        let own = vec![named(self.arn(caller)), named(self.principal_arn(caller))];
        let account = vec![named(self.iam_arn("root")), named(self.place.account.clone())];
        // The root is its account.
        if *caller == Caller::Root { (account.clone(), account) } else { (own, account) }
    }
}

/// `AIDA…`
pub(crate) fn user_id(user: &UserDefinition) -> String {
    format!("AIDA{}", user.id)
}

/// `AROA…`
pub(crate) fn role_id(role: &RoleDefinition) -> String {
    format!("AROA{}", role.id)
}
