//! The operations of the service, how a request names them, and what a shared access signature must allow for them.

use http::Method;

use crate::request::AzureRequest;
use crate::storage::error::ServiceError;
use crate::storage::target::Target;

/// Every operation that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    ListContainers,
    GetServiceProperties,
    GetAccountInformation,
    SetServiceProperties,
    /// Of the account or of a container.
    Batch,
    CreateContainer,
    DeleteContainer,
    GetContainerProperties,
    SetContainerMetadata,
    GetContainerAcl,
    SetContainerAcl,
    LeaseContainer,
    ListBlobs,
    /// Copies too.
    PutBlob,
    PutBlock,
    PutBlockList,
    GetBlockList,
    AppendBlock,
    GetBlob,
    GetBlobProperties,
    SetBlobMetadata,
    SetBlobProperties,
    DeleteBlob,
    SnapshotBlob,
    LeaseBlob,
    SetBlobTags,
    GetBlobTags,
}

/// What an operation works on, in the letters of an account's shared access signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Service,
    Container,
    Object,
}

impl Operation {
    /// The operation that method and address name. Copying is told by a header and needs what putting needs.
    pub(super) fn of(method: &Method, target: &Target) -> Result<Self, ServiceError> {
        let (restype, comp) = (target.parameter("restype"), target.parameter("comp"));
        let found = match (target.container.is_some(), target.blob.is_some()) {
            (false, _) => of_service(method, restype, comp),
            (true, false) => of_container(method, restype, comp),
            (true, true) => of_blob(method, restype, comp),
        };
        found.ok_or_else(|| match (comp, restype) {
            (Some(comp), _) => ServiceError::unsupported_parameter("comp", comp),
            (None, Some(restype)) => ServiceError::unsupported_parameter("restype", restype),
            (None, None) => ServiceError::unsupported_verb(method),
        })
    }

    /// Whether it may be about a snapshot, which is never changed.
    fn takes_snapshot(self) -> bool {
        matches!(
            self,
            Self::GetBlob | Self::GetBlobProperties | Self::GetBlockList | Self::GetBlobTags | Self::DeleteBlob
        )
    }

    /// Whether the id of a container's lease may be named.
    fn takes_container_lease(self) -> bool {
        matches!(
            self,
            Self::DeleteContainer
                | Self::GetContainerProperties
                | Self::SetContainerMetadata
                | Self::GetContainerAcl
                | Self::SetContainerAcl
                | Self::LeaseContainer
        )
    }

    /// The conditions that an operation on a container may set. Source: "Specifying conditional headers for Blob service
    /// operations".
    fn container_conditions(self) -> &'static [&'static str] {
        match self {
            Self::DeleteContainer | Self::SetContainerAcl | Self::LeaseContainer => {
                &["if-modified-since", "if-unmodified-since"]
            }
            Self::SetContainerMetadata => &["if-modified-since"],
            _ => &[],
        }
    }

    pub(super) fn level(self) -> Level {
        match self {
            Self::ListContainers
            | Self::GetServiceProperties
            | Self::SetServiceProperties
            | Self::GetAccountInformation => Level::Service,
            Self::Batch
            | Self::CreateContainer
            | Self::DeleteContainer
            | Self::GetContainerProperties
            | Self::SetContainerMetadata
            | Self::GetContainerAcl
            | Self::SetContainerAcl
            | Self::LeaseContainer
            | Self::ListBlobs => Level::Container,
            _ => Level::Object,
        }
    }

    /// The permissions of which a signature for the account must have one; empty when none suffices.
    pub(super) fn account_permissions(self) -> &'static str {
        match self {
            Self::ListContainers | Self::ListBlobs => "l",
            Self::GetServiceProperties
            | Self::GetAccountInformation
            | Self::GetContainerProperties
            | Self::GetBlockList
            | Self::GetBlob
            | Self::GetBlobProperties => "r",
            Self::CreateContainer | Self::PutBlob | Self::SnapshotBlob => "cw",
            Self::DeleteContainer | Self::DeleteBlob => "d",
            Self::AppendBlock => "aw",
            // Each request of a batch is looked at for itself.
            Self::Batch => "racwdlt",
            Self::SetServiceProperties
            | Self::SetContainerMetadata
            | Self::LeaseContainer
            | Self::PutBlock
            | Self::PutBlockList
            | Self::SetBlobMetadata
            | Self::SetBlobProperties
            | Self::LeaseBlob => "w",
            Self::SetBlobTags | Self::GetBlobTags => "t",
            Self::GetContainerAcl | Self::SetContainerAcl => "",
        }
    }

    /// The same for a signature for a container or a blob, with which containers themselves cannot be changed.
    pub(super) fn service_permissions(self) -> &'static str {
        match self {
            Self::ListBlobs => "l",
            Self::Batch => self.account_permissions(),
            _ if self.level() == Level::Object => self.account_permissions(),
            _ => "",
        }
    }
}

fn of_service(method: &Method, restype: Option<&str>, comp: Option<&str>) -> Option<Operation> {
    match (method, restype, comp) {
        (&Method::GET, None, Some("list")) => Some(Operation::ListContainers),
        (&Method::GET, Some("service"), Some("properties")) => Some(Operation::GetServiceProperties),
        (&Method::PUT, Some("service"), Some("properties")) => Some(Operation::SetServiceProperties),
        (&Method::POST, None, Some("batch")) => Some(Operation::Batch),
        (&Method::GET | &Method::HEAD, Some("account"), Some("properties")) => Some(Operation::GetAccountInformation),
        _ => None,
    }
}

fn of_container(method: &Method, restype: Option<&str>, comp: Option<&str>) -> Option<Operation> {
    let read = matches!(*method, Method::GET | Method::HEAD);
    match (restype, comp) {
        (Some("account"), Some("properties")) if read => Some(Operation::GetAccountInformation),
        (Some("container"), None) if method == Method::PUT => Some(Operation::CreateContainer),
        (Some("container"), None) if method == Method::DELETE => Some(Operation::DeleteContainer),
        (Some("container"), None | Some("metadata")) if read => Some(Operation::GetContainerProperties),
        (Some("container"), Some("metadata")) if method == Method::PUT => Some(Operation::SetContainerMetadata),
        (Some("container"), Some("acl")) if read => Some(Operation::GetContainerAcl),
        (Some("container"), Some("acl")) if method == Method::PUT => Some(Operation::SetContainerAcl),
        (Some("container"), Some("lease")) if method == Method::PUT => Some(Operation::LeaseContainer),
        (Some("container"), Some("list")) if method == Method::GET => Some(Operation::ListBlobs),
        (Some("container"), Some("batch")) if method == Method::POST => Some(Operation::Batch),
        _ => None,
    }
}

fn of_blob(method: &Method, restype: Option<&str>, comp: Option<&str>) -> Option<Operation> {
    let read = matches!(*method, Method::GET | Method::HEAD);
    match (restype, comp) {
        (Some("account"), Some("properties")) if read => Some(Operation::GetAccountInformation),
        (None, None) => match *method {
            Method::PUT => Some(Operation::PutBlob),
            Method::GET => Some(Operation::GetBlob),
            Method::HEAD => Some(Operation::GetBlobProperties),
            Method::DELETE => Some(Operation::DeleteBlob),
            _ => None,
        },
        (None, Some("metadata")) if read => Some(Operation::GetBlobProperties),
        (None, Some("metadata")) if method == Method::PUT => Some(Operation::SetBlobMetadata),
        (None, Some("properties")) if method == Method::PUT => Some(Operation::SetBlobProperties),
        (None, Some("block")) if method == Method::PUT => Some(Operation::PutBlock),
        (None, Some("blocklist")) if method == Method::PUT => Some(Operation::PutBlockList),
        (None, Some("blocklist")) if method == Method::GET => Some(Operation::GetBlockList),
        (None, Some("snapshot")) if method == Method::PUT => Some(Operation::SnapshotBlob),
        (None, Some("lease")) if method == Method::PUT => Some(Operation::LeaseBlob),
        (None, Some("tags")) if method == Method::PUT => Some(Operation::SetBlobTags),
        (None, Some("tags")) if method == Method::GET => Some(Operation::GetBlobTags),
        (None, Some("appendblock")) if method == Method::PUT => Some(Operation::AppendBlock),
        _ => None,
    }
}

/// Headers of features that are not served. A header that is left out of account would be success that is none.
const UNSUPPORTED_HEADERS: [&str; 22] = [
    "x-ms-access-tier",
    "x-ms-rehydrate-priority",
    "x-ms-source-lease-id",
    "x-ms-if-tags",
    "x-ms-source-if-tags",
    "x-ms-copy-source-tag-option",
    "x-ms-copy-source-authorization",
    "x-ms-encryption-key",
    "x-ms-encryption-key-sha256",
    "x-ms-encryption-algorithm",
    "x-ms-encryption-scope",
    "x-ms-default-encryption-scope",
    "x-ms-deny-encryption-scope-override",
    "x-ms-immutability-policy-until-date",
    "x-ms-immutability-policy-mode",
    "x-ms-legal-hold",
    "x-ms-seal-blob",
    "x-ms-expiry-option",
    "x-ms-content-crc64",
    "x-ms-source-content-crc64",
    "x-ms-structured-body",
    "x-ms-range-get-content-crc64",
];

/// Query parameters of features that are not served.
const UNSUPPORTED_PARAMETERS: [&str; 2] = ["versionid", "deletetype"];

/// Names what a request asks for and no operation here does. Looks at the head alone.
pub(super) fn refuse_unsupported(
    request: &AzureRequest,
    target: &Target,
    operation: Operation,
) -> Result<(), ServiceError> {
    if let Some(version) = request.header("x-ms-version").filter(|version| !is_version(version)) {
        return Err(ServiceError::invalid_header("x-ms-version", version));
    }
    if let Some(name) = UNSUPPORTED_HEADERS.iter().find(|name| request.headers.contains_key(**name)) {
        return Err(ServiceError::unsupported_header(name, request.header(name).unwrap_or_default()));
    }
    for name in UNSUPPORTED_PARAMETERS {
        if let Some(value) = target.parameter(name) {
            return Err(ServiceError::unsupported_parameter(name, value));
        }
    }
    if let Some(snapshot) = target.parameter("snapshot").filter(|_| !operation.takes_snapshot()) {
        return Err(ServiceError::unsupported_parameter("snapshot", snapshot));
    }
    if operation.level() == Level::Object {
        return Ok(());
    }
    if !operation.takes_container_lease()
        && let Some(id) = request.header("x-ms-lease-id")
    {
        return Err(ServiceError::unsupported_header("x-ms-lease-id", id));
    }
    let conditions = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    let mut given = conditions.into_iter().filter(|name| request.headers.contains_key(*name));
    if given.any(|name| !operation.container_conditions().contains(&name)) {
        let message = "Condition headers are not supported for this operation.";
        return Err(ServiceError::bad_request("ConditionHeadersNotSupported", message));
    }
    Ok(())
}

/// Versions are dates. Newer ones than are known here are taken: clients send the newest that they know.
fn is_version(text: &str) -> bool {
    text.len() == "2021-12-02".len() && crate::time::parse_iso8601(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str, query: &str) -> Result<Operation, &'static str> {
        Operation::of(&method, &Target::parse(path, query).unwrap()).map_err(|error| error.code)
    }

    #[test]
    fn method_and_address_name_the_operation() {
        for (method, path, query, operation) in [
            (Method::GET, "/acc", "comp=list", Operation::ListContainers),
            (Method::PUT, "/acc/c", "restype=container", Operation::CreateContainer),
            (Method::GET, "/acc/c", "restype=container&comp=list", Operation::ListBlobs),
            (Method::HEAD, "/acc/c", "restype=container", Operation::GetContainerProperties),
            (Method::PUT, "/acc/c/b", "", Operation::PutBlob),
            (Method::PUT, "/acc/c/b", "comp=snapshot", Operation::SnapshotBlob),
            (Method::PUT, "/acc/c/b", "comp=block&blockid=AA", Operation::PutBlock),
            (Method::HEAD, "/acc/c/b/d", "", Operation::GetBlobProperties),
        ] {
            assert_eq!(found(method, path, query), Ok(operation), "{path}?{query}");
        }
        for comp in ["page", "query", "tier", "undelete"] {
            assert_eq!(found(Method::PUT, "/acc/c/b", &format!("comp={comp}")), Err("UnsupportedQueryParameter"));
        }
        assert_eq!(found(Method::POST, "/acc/c/b", ""), Err("UnsupportedHttpVerb"));
    }

    #[test]
    fn a_signature_for_a_container_cannot_change_containers() {
        assert_eq!(Operation::DeleteContainer.service_permissions(), "");
        assert_eq!(Operation::DeleteContainer.account_permissions(), "d");
        assert_eq!(Operation::GetBlob.service_permissions(), "r");
    }
}
