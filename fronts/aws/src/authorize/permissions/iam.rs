//! IAM: users, roles and policies by their ARNs, of which paths are a part.

use millstream_access::Caller;

use super::{Member, Need};
use crate::authorize::Authorizer;

pub(super) fn need(authorizer: &Authorizer, caller: &Caller, operation: &str, member: Member<'_>) -> Need {
    let resource = resource(authorizer, caller, operation, member);
    let policy = member("PolicyArn").filter(|_| operation.starts_with("Attach") || operation.starts_with("Detach"));
    let circumstances = policy.map(|arn| ("iam:PolicyARN", arn)).into_iter().collect();
    Need { circumstances, ..Need::new(format!("iam:{operation}"), resource) }
}

fn resource(authorizer: &Authorizer, caller: &Caller, operation: &str, member: Member<'_>) -> String {
    let path = || member("Path").unwrap_or_else(|| "/".to_owned());
    let to_be =
        |kind: &str, name: Option<String>| authorizer.iam_arn(&format!("{kind}{}{}", path(), name.unwrap_or_default()));
    match operation {
        "CreateRole" => return to_be("role", member("RoleName")),
        "CreateUser" => return to_be("user", member("UserName")),
        "CreatePolicy" => return to_be("policy", member("PolicyName")),
        "ListRoles" => return to_be("role", None),
        "ListUsers" => return to_be("user", None),
        "ListPolicies" => return to_be("policy", None),
        "SimulatePrincipalPolicy" => return member("PolicySourceArn").unwrap_or_else(|| super::UNKNOWN.to_owned()),
        _ => {}
    }
    // The operation's name says what it is about, whatever else the request holds.
    if operation.contains("Role") {
        let name = member("RoleName").unwrap_or_default();
        let known = authorizer.access.role(&name).map(|role| authorizer.role_arn(&role));
        return known.unwrap_or_else(|_| authorizer.iam_arn(&format!("role/{name}")));
    }
    if operation.contains("User") || operation.contains("AccessKey") {
        // Without a name it is about the caller.
        return member("UserName")
            .map_or_else(|| authorizer.arn(caller), |name| authorizer.arn(&Caller::User { name }));
    }
    let unnamed = if operation.contains("Policy") { super::UNKNOWN } else { super::ANY };
    member("PolicyArn").unwrap_or_else(|| unnamed.to_owned())
}
