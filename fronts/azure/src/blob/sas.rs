//! Shared access signatures: what an address may be used for, signed with an account's key. Pure.
//!
//! Source: the Azure Storage REST reference, "Create a service SAS" and "Create an account SAS", for versions from
//! 2015-04-05 on. Stored access policies and user delegation keys are not served: such signatures are refused.

use std::net::IpAddr;

use millstream_types::Millis;

use super::authorize::Permit;
use super::operation::{Level, Operation};
use crate::request::AzureRequest;
use crate::storage::error::ServiceError;
use crate::storage::target::Target;
use crate::time;

/// The oldest version whose signed text is known here.
const VERSION_MIN: &str = "2015-04-05";
/// From here on the kind of resource and the snapshot are signed.
const VERSION_WITH_RESOURCE: &str = "2018-11-09";
/// From here on the encryption scope is signed.
const VERSION_WITH_ENCRYPTION_SCOPE: &str = "2020-12-06";

/// Who uses an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    address: IpAddr,
    /// Whether it came under TLS.
    secure: bool,
}

impl Caller {
    pub(super) fn of(request: &AzureRequest) -> Self {
        Self { address: request.peer, secure: request.scheme == "https" }
    }
}

/// A signature of an address.
pub(super) struct Sas<'t> {
    target: &'t Target,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Account,
    Container,
    Blob,
    /// One snapshot, and not its blob.
    Snapshot,
}

/// Headers that a signature sets for the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Overrides {
    pub(super) cache_control: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) content_type: Option<String>,
}

impl<'t> Sas<'t> {
    /// The signature that an address carries.
    pub(super) fn of(target: &'t Target) -> Result<Self, ServiceError> {
        for (field, what) in [("si", "stored access policies"), ("skoid", "user delegation keys")] {
            if target.parameter(field).is_some() {
                return Err(ServiceError::unauthenticated(format!(
                    "signatures by {what} ({field}) are not supported by this node"
                )));
            }
        }
        let kind = match (target.parameter("sr"), target.parameter("ss"), target.parameter("srt")) {
            (None, Some(_), Some(_)) => Kind::Account,
            (Some("c"), None, None) => Kind::Container,
            (Some("b"), None, None) => Kind::Blob,
            (Some("bs"), None, None) if target.parameter("sv") >= Some(VERSION_WITH_RESOURCE) => Kind::Snapshot,
            (Some(other), None, None) => {
                let detail = format!(
                    "expected a signature for a container (sr=c), a blob (sr=b) or a snapshot (sr=bs), found sr={other}"
                );
                return Err(ServiceError::unauthenticated(detail));
            }
            _ => return Err(ServiceError::unauthenticated("Signature fields not well formed.")),
        };
        let sas = Self { target, kind };
        for (field, least) in [("sv", VERSION_MIN), ("se", ""), ("sp", "")] {
            if target.parameter(field).is_none_or(|value| value < least) {
                return Err(ServiceError::unauthenticated(format!("Signature fields not well formed: {field}.")));
            }
        }
        Ok(sas)
    }

    pub(super) fn signature(&self) -> &'t str {
        self.field("sig")
    }

    fn field(&self, name: &str) -> &'t str {
        self.target.parameter(name).unwrap_or_default()
    }

    /// What the account's owner signed.
    pub(super) fn string_to_sign(&self, target: &Target) -> String {
        let version = self.field("sv");
        let with_scope = version >= VERSION_WITH_ENCRYPTION_SCOPE;
        let resource = self.resource(target);
        let mut lines: Vec<&str> = Vec::new();
        match self.kind {
            Kind::Account => {
                lines.push(&target.account);
                lines.extend(["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"].map(|name| self.field(name)));
                lines.extend(with_scope.then(|| self.field("ses")));
                // The text ends with a line's end.
                lines.push("");
            }
            Kind::Container | Kind::Blob | Kind::Snapshot => {
                lines.extend(["sp", "st", "se"].map(|name| self.field(name)));
                lines.push(&resource);
                lines.extend(["si", "sip", "spr", "sv"].map(|name| self.field(name)));
                if version >= VERSION_WITH_RESOURCE {
                    let snapshot = target.parameter("snapshot").filter(|_| self.kind == Kind::Snapshot);
                    lines.extend([self.field("sr"), snapshot.unwrap_or_default()]);
                }
                lines.extend(with_scope.then(|| self.field("ses")));
                lines.extend(["rscc", "rscd", "rsce", "rscl", "rsct"].map(|name| self.field(name)));
            }
        }
        lines.join("\n")
    }

    fn resource(&self, target: &Target) -> String {
        let container = format!("/blob/{}/{}", target.account, target.container());
        match self.kind {
            Kind::Blob | Kind::Snapshot => format!("{container}/{}", target.blob()),
            Kind::Account | Kind::Container => container,
        }
    }

    /// What the signature, once it is known to be right, allows a caller now.
    pub(super) fn check(&self, operation: Operation, caller: Caller, now: Millis) -> Result<Permit, ServiceError> {
        self.check_time(now)?;
        if !self.field("sip").is_empty() && !holds_address(self.field("sip"), caller.address.to_canonical()) {
            return Err(ServiceError::not_permitted("AuthorizationSourceIPMismatch", "source IP"));
        }
        if self.field("spr") == "https" && !caller.secure {
            return Err(ServiceError::not_permitted("AuthorizationProtocolMismatch", "protocol"));
        }
        // What a signature is for is what the address names: a blob's does not open its snapshots, nor the other way round.
        let names_snapshot = self.target.parameter("snapshot").is_some();
        if matches!(self.kind, Kind::Blob | Kind::Snapshot) && names_snapshot != (self.kind == Kind::Snapshot) {
            return Err(ServiceError::not_permitted("AuthorizationResourceTypeMismatch", "resource type"));
        }
        let needed = match self.kind {
            Kind::Account => {
                self.check_account_scope(operation)?;
                operation.account_permissions()
            }
            Kind::Container | Kind::Blob | Kind::Snapshot => operation.service_permissions(),
        };
        let given = self.field("sp");
        if !needed.chars().any(|permission| given.contains(permission)) {
            return Err(ServiceError::permission_mismatch());
        }
        Ok(Permit {
            by_key: false,
            create_only: operation == Operation::PutBlob && !given.contains('w'),
            overrides: self.overrides(),
        })
    }

    fn check_account_scope(&self, operation: Operation) -> Result<(), ServiceError> {
        if !self.field("ss").contains('b') {
            return Err(ServiceError::not_permitted("AuthorizationServiceMismatch", "service"));
        }
        let level = match operation.level() {
            Level::Service => 's',
            Level::Container => 'c',
            Level::Object => 'o',
        };
        if !self.field("srt").contains(level) {
            return Err(ServiceError::not_permitted("AuthorizationResourceTypeMismatch", "resource type"));
        }
        Ok(())
    }

    fn check_time(&self, now: Millis) -> Result<(), ServiceError> {
        let (start, expiry) = (self.field("st"), self.field("se"));
        let parse = |text: &str| {
            time::parse_iso8601(text).ok_or_else(|| {
                ServiceError::unauthenticated(format!("expected a time as ISO 8601 writes it, found {text}"))
            })
        };
        let begun = start.is_empty() || parse(start)? <= now;
        if begun && now < parse(expiry)? {
            return Ok(());
        }
        Err(ServiceError::unauthenticated(format!(
            "Signature not valid in the specified time frame: Start [{start}] - Expiry [{expiry}] - Current [{}]",
            time::rfc1123(now),
        )))
    }

    fn overrides(&self) -> Overrides {
        let field = |name: &str| self.target.parameter(name).map(str::to_owned);
        if self.kind == Kind::Account {
            return Overrides::default();
        }
        Overrides {
            cache_control: field("rscc"),
            content_disposition: field("rscd"),
            content_encoding: field("rsce"),
            content_language: field("rscl"),
            content_type: field("rsct"),
        }
    }
}

/// Whether an address is the one or in the range `FIRST-LAST`.
fn holds_address(range: &str, address: IpAddr) -> bool {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<IpAddr>(), last.parse::<IpAddr>()) {
        (Ok(first), Ok(last)) => first <= address && address <= last,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: Millis = 1_795_248_900_000;
    const CALLER: Caller = Caller { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), secure: false };

    fn target(query: &str) -> Target {
        Target::parse("/acc/c/b%20b", query).unwrap()
    }

    fn check(query: &str, operation: Operation) -> Result<Permit, &'static str> {
        let target = target(query);
        Sas::of(&target).and_then(|sas| sas.check(operation, CALLER, NOW)).map_err(|error| error.code)
    }

    #[test]
    fn the_signed_text_depends_on_the_version() {
        let text = |query: &str| {
            let target = target(query);
            Sas::of(&target).unwrap().string_to_sign(&target)
        };
        assert_eq!(
            text("sv=2021-12-02&sr=b&sp=r&se=E&st=S&sig=x&spr=https&rsct=t"),
            "r\nS\nE\n/blob/acc/c/b b\n\n\nhttps\n2021-12-02\nb\n\n\n\n\n\n\nt"
        );
        assert_eq!(
            text("sv=2019-07-07&sr=c&sp=rl&se=E&sig=x"),
            "rl\n\nE\n/blob/acc/c\n\n\n\n2019-07-07\nc\n\n\n\n\n\n"
        );
        assert_eq!(
            text("sv=2021-12-02&sr=bs&sp=r&se=E&sig=x&snapshot=S"),
            "r\n\nE\n/blob/acc/c/b b\n\n\n\n2021-12-02\nbs\nS\n\n\n\n\n\n"
        );
        assert_eq!(text("sv=2015-04-05&sr=c&sp=r&se=E&sig=x"), "r\n\nE\n/blob/acc/c\n\n\n\n2015-04-05\n\n\n\n\n");
        assert_eq!(
            text("sv=2021-12-02&ss=b&srt=co&sp=rl&se=E&sig=x&sip=1.2.3.4"),
            "acc\nrl\nb\nco\n\nE\n1.2.3.4\n\n2021-12-02\n\n"
        );
    }

    #[test]
    fn a_signature_allows_what_it_says_and_only_in_its_time() {
        let blob = "sv=2021-12-02&sr=b&se=2026-11-22";
        let account = "sv=2021-12-02&se=2026-11-22&sp=rl";
        for (query, operation, expected) in [
            (format!("{blob}&sp=r"), Operation::GetBlob, None),
            (format!("{blob}&sp=w"), Operation::GetBlob, Some("AuthorizationPermissionMismatch")),
            (format!("{blob}&sp=r&snapshot=S"), Operation::GetBlob, Some("AuthorizationResourceTypeMismatch")),
            (
                "sv=2021-12-02&sr=bs&se=2026-11-22&sp=r".into(),
                Operation::GetBlob,
                Some("AuthorizationResourceTypeMismatch"),
            ),
            ("sv=2021-12-02&sr=bs&se=2026-11-22&sp=r&snapshot=S".into(), Operation::GetBlob, None),
            (format!("{blob}&sp=racwdl"), Operation::DeleteContainer, Some("AuthorizationPermissionMismatch")),
            (format!("{blob}&sp=r&st=2026-11-21T08:16Z"), Operation::GetBlob, Some("AuthenticationFailed")),
            (
                "sv=2021-12-02&sr=b&sp=r&se=2026-11-21T08:15:00Z".into(),
                Operation::GetBlob,
                Some("AuthenticationFailed"),
            ),
            ("sv=2021-12-02&sr=b&sp=r&se=soon".into(), Operation::GetBlob, Some("AuthenticationFailed")),
            ("sv=2021-12-02&sr=b&sp=r".into(), Operation::GetBlob, Some("AuthenticationFailed")),
            ("sv=2012-02-12&sr=b&sp=r&se=2026-11-22".into(), Operation::GetBlob, Some("AuthenticationFailed")),
            (format!("{blob}&sp=r&si=policy"), Operation::GetBlob, Some("AuthenticationFailed")),
            (format!("{blob}&sp=r&spr=https"), Operation::GetBlob, Some("AuthorizationProtocolMismatch")),
            (format!("{blob}&sp=r&spr=https,http"), Operation::GetBlob, None),
            (format!("{blob}&sp=r&sip=10.0.0.1"), Operation::GetBlob, Some("AuthorizationSourceIPMismatch")),
            (format!("{blob}&sp=r&sip=192.0.2.0-192.0.2.9"), Operation::GetBlob, None),
            (format!("{account}&ss=b&srt=co"), Operation::ListBlobs, None),
            (format!("{account}&ss=q&srt=co"), Operation::ListBlobs, Some("AuthorizationServiceMismatch")),
            (format!("{account}&ss=b&srt=o"), Operation::ListBlobs, Some("AuthorizationResourceTypeMismatch")),
        ] {
            assert_eq!(check(&query, operation).err(), expected, "{query}");
        }
        let target = target(&format!("{blob}&sp=r&spr=https"));
        let under_tls = Caller { secure: true, ..CALLER };
        assert!(Sas::of(&target).unwrap().check(Operation::GetBlob, under_tls, NOW).is_ok());
        assert!(check(&format!("{blob}&sp=c"), Operation::PutBlob).unwrap().create_only);
        assert!(!check(&format!("{blob}&sp=cw"), Operation::PutBlob).unwrap().create_only);
    }
}
