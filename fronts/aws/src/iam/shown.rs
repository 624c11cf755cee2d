//! Users, roles, policies and keys as answers show them.

use std::collections::BTreeMap;

use millstream_access::{AccessKey, ServicePolicy};
use millstream_catalog::{PolicyDefinition, PolicyReference, RoleDefinition, UserDefinition};
use millstream_http::xml::Element;
use millstream_types::Millis;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Iam;
use crate::authorize::principal::{role_id, user_id};
use crate::query_protocol::members;

/// Characters that stay in an escaped document.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The policies that every node knows are as old as the policy language.
const SERVICE_POLICY_DATE: &str = "2012-10-17T00:00:00Z";

impl Iam {
    pub(super) fn show_role(&self, element: &mut Element, role: &RoleDefinition) {
        element.text("Path", &role.path);
        element.text("RoleName", &role.name);
        element.text("RoleId", &role_id(role));
        element.text("Arn", &self.authorizer.role_arn(role));
        element.text("CreateDate", &date(role.created));
        element.text("AssumeRolePolicyDocument", &document(&role.trust));
        if !role.description.is_empty() {
            element.text("Description", &role.description);
        }
        element.text("MaxSessionDuration", &role.session_seconds_max.to_string());
        show_tags(element, &role.tags);
    }

    pub(super) fn show_user(&self, element: &mut Element, user: &UserDefinition) {
        element.text("Path", &user.path);
        element.text("UserName", &user.name);
        element.text("UserId", &user_id(user));
        element.text("Arn", &self.authorizer.user_arn(user));
        element.text("CreateDate", &date(user.created));
        show_tags(element, &user.tags);
    }

    pub(super) fn show_policy(&self, element: &mut Element, policy: &PolicyDefinition) {
        let holders = self.authorizer.access.holders(&PolicyReference::Own(policy.name.clone())).len();
        element.text("PolicyName", &policy.name);
        element.text("PolicyId", &format!("ANPA{}", policy.id));
        element.text("Arn", &self.authorizer.policy_arn(policy));
        element.text("Path", &policy.path);
        element.text("DefaultVersionId", &version_id(policy.default_version));
        show_attachable(element, holders);
        if !policy.description.is_empty() {
            element.text("Description", &policy.description);
        }
        element.text("CreateDate", &date(policy.created));
        element.text("UpdateDate", &date(policy.modified));
        show_tags(element, &policy.tags);
    }

    pub(super) fn show_service_policy(&self, element: &mut Element, policy: &ServicePolicy) {
        let reference = PolicyReference::Service(policy.name.clone());
        element.text("PolicyName", &policy.name);
        // As long as an id must be, and always the same.
        element.text("PolicyId", &format!("ANPA{:A<17}", policy.name.to_ascii_uppercase().replace(['-', '_'], "")));
        element.text("Arn", &self.authorizer.reference_arn(&reference));
        element.text("Path", &policy.path);
        element.text("DefaultVersionId", "v1");
        show_attachable(element, self.authorizer.access.holders(&reference).len());
        element.text("CreateDate", SERVICE_POLICY_DATE);
        element.text("UpdateDate", SERVICE_POLICY_DATE);
    }
}

fn show_attachable(element: &mut Element, holders: usize) {
    element.text("AttachmentCount", &holders.to_string());
    element.text("PermissionsBoundaryUsageCount", "0");
    element.text("IsAttachable", "true");
}

/// A version of a policy.
pub(super) fn show_version(element: &mut Element, text: &str, number: u32, holds: bool, created: &str) {
    element.text("Document", &document(text));
    element.text("VersionId", &version_id(number));
    element.text("IsDefaultVersion", if holds { "true" } else { "false" });
    element.text("CreateDate", created);
}

/// The one version of a policy that every node knows.
pub(super) fn show_service_version(element: &mut Element, policy: &ServicePolicy) {
    show_version(element, &policy.document, 1, true, SERVICE_POLICY_DATE);
}

/// A key, without its secret.
pub(super) fn show_key(element: &mut Element, user: &str, key: &AccessKey) {
    element.text("UserName", user);
    element.text("AccessKeyId", &key.id);
    element.text("Status", if key.disabled { "Inactive" } else { "Active" });
    element.text("CreateDate", &date(key.created));
}

pub(super) fn show_tags(element: &mut Element, tags: &BTreeMap<String, String>) {
    let tags: Vec<_> = tags.iter().collect();
    members(element, "Tags", &tags, |member, (key, value)| {
        member.text("Key", key);
        member.text("Value", value);
    });
}

pub(super) fn version_id(number: u32) -> String {
    format!("v{number}")
}

/// Documents travel escaped as in an address.
pub(super) fn document(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

pub(crate) fn date(millis: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
