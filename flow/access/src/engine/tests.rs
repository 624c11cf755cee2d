//! The engine over a store in memory.

use std::sync::Arc;

use millstream_catalog::{Catalog, FunctionDefinition, PolicyReference};
use millstream_storage::Storage;
use millstream_types::{ErrorKind, ManualClock, Millis};

use super::*;
use crate::caller::{RoleSession, TemporaryCredentials};
use crate::policy::{AccessRequest, Context, Identity, Policy, Use};

const ALLOW_SEND: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sqs:Send*","Resource":"*"}}"#;
const ALLOW_RECEIVE: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sqs:ReceiveMessage","Resource":"*"}}"#;
const DENY_ALL: &str = r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;
const TRUST_LAMBDA: &str =
    r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"lambda"},"Action":"sts:AssumeRole"}}"#;
const TRUST_ANNA: &str = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"anna"},"Action":"sts:AssumeRole"}}"#;
const TRUST_ACCOUNT: &str =
    r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"account"},"Action":"sts:AssumeRole"}}"#;

struct Node {
    storage: Storage,
    catalog: Catalog,
    access: Access,
}

fn node(development: bool) -> Node {
    let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
    let catalog = Catalog::open(&storage).unwrap();
    let service = ServicePolicy { name: "Send".into(), path: "/".into(), document: ALLOW_SEND.into() };
    let access = Access::new(catalog.clone(), development).with_service_policies(vec![service]);
    Node { storage, catalog, access }
}

fn anna() -> Caller {
    Caller::User { name: "anna".into() }
}

fn ask(access: &Access, caller: &Caller, action: &str) -> Result<(), Denial> {
    let context = Context::default();
    access.decide(caller, &to_the_queue(action, &context), None)
}

fn to_the_queue<'a>(action: &'a str, context: &'a Context) -> AccessRequest<'a> {
    AccessRequest { action, resource: "arn:aws:sqs:r:0:q", identities: &[], context }
}

fn role(name: &str, trust: &str) -> NewRole {
    NewRole { name: name.into(), trust: trust.into(), ..NewRole::default() }
}

#[test]
fn only_known_keys_grant_something() {
    let Node { catalog, access, .. } = node(false);
    assert_eq!(access.grant("test", None, 0).unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert_eq!(access.storage_account(DEVELOPMENT_ACCOUNT.0), None);
    let development = Access::new(catalog, true);
    assert!(development.storage_account(DEVELOPMENT_ACCOUNT.0).is_some());
    let grant = development.grant("test", None, 0).unwrap();
    assert_eq!((grant.secret.as_str(), grant.caller), ("test", Caller::Root));
    let given = access.function_credentials("save");
    assert_eq!(access.function_credentials("save"), given);
    let grant = access.grant(&given.access_key, Some(&given.token), 0).unwrap();
    assert_eq!(grant.caller, Caller::Function { name: "save".into() });
    assert!(access.grant(&given.access_key, Some("other"), 0).is_err());
    assert!(access.grant(&given.access_key, None, 0).is_err());
}

#[tokio::test]
async fn an_account_keeps_its_key_which_signs_nothing() {
    let Node { catalog, access, .. } = node(false);
    assert_eq!(access.account_key("a", "known", || "made".into(), 0).await.unwrap(), "made");
    assert_eq!(access.account_key("a", "known", || "again".into(), 0).await.unwrap(), "made");
    assert!(access.grant("account/a", None, 0).is_err());
    let development = Access::new(catalog, true);
    assert_eq!(development.account_key("a", "known", || "made".into(), 0).await.unwrap(), "known");
}

#[tokio::test]
async fn the_root_has_one_key_and_users_two() {
    let Node { access, .. } = node(false);
    let root = access.root_keys(0).await.unwrap();
    assert_eq!(access.root_keys(1).await.unwrap(), root);
    assert_eq!(access.grant(&root[0].id, None, 0).unwrap().caller, Caller::Root);
    assert_eq!(access.create_key("anna", 0).await.unwrap_err().kind(), ErrorKind::NotFound);
    access.create_user(NewUser { name: "anna".into(), ..NewUser::default() }, 0).await.unwrap();
    let first = access.create_key("anna", 0).await.unwrap();
    let second = access.create_key("anna", 1).await.unwrap();
    assert_eq!(access.create_key("anna", 2).await.unwrap_err().kind(), ErrorKind::Throttled);
    assert_eq!(access.keys_of("anna").unwrap(), [Arc::clone(&first), second]);
    assert_eq!(access.grant(&first.id, None, 0).unwrap().caller, anna());
    access.set_key_active("anna", &first.id, false).await.unwrap();
    assert!(access.grant(&first.id, None, 0).is_err());
    access.set_key_active("anna", &first.id, true).await.unwrap();
    assert!(access.grant(&first.id, None, 0).is_ok());
    assert_eq!(access.delete_user("anna").await.unwrap_err().kind(), ErrorKind::Conflict);
    access.delete_key("anna", &first.id).await.unwrap();
    assert!(access.grant(&first.id, None, 0).is_err());
}

#[tokio::test]
async fn what_changes_counts_at_once() {
    let Node { access, .. } = node(false);
    let nothing = Err(Denial::NotAllowed(PolicyKind::Identity));
    assert_eq!(ask(&access, &Caller::Root, "sqs:SendMessage"), Ok(()));
    assert_eq!(ask(&access, &anna(), "sqs:SendMessage"), nothing);
    access.create_user(NewUser { name: "anna".into(), ..NewUser::default() }, 0).await.unwrap();
    assert_eq!(ask(&access, &anna(), "sqs:SendMessage"), nothing);
    let holder = Holder::User("anna".into());
    access.attach(&holder, PolicyReference::Service("Send".into())).await.unwrap();
    assert_eq!(ask(&access, &anna(), "sqs:SendMessage"), Ok(()));
    access.put_inline(&holder, "no", DENY_ALL.into()).await.unwrap();
    assert_eq!(ask(&access, &anna(), "sqs:SendMessage"), Err(Denial::Explicit(PolicyKind::Identity)));
    access.delete_inline(&holder, "no").await.unwrap();
    let new = NewPolicy { name: "receive".into(), document: ALLOW_RECEIVE.into(), ..NewPolicy::default() };
    access.create_policy(new, 0).await.unwrap();
    access.attach(&holder, PolicyReference::Own("receive".into())).await.unwrap();
    assert_eq!(ask(&access, &anna(), "sqs:ReceiveMessage"), Ok(()));
    access.create_policy_version("receive", DENY_ALL.into(), true, 1).await.unwrap();
    assert_eq!(ask(&access, &anna(), "sqs:SendMessage"), Err(Denial::Explicit(PolicyKind::Identity)));
    access.set_default_policy_version("receive", 1, 2).await.unwrap();
    assert_eq!(ask(&access, &anna(), "sqs:SendMessage"), Ok(()));
    assert_eq!(access.delete_policy("receive").await.unwrap_err().kind(), ErrorKind::Conflict);
    access.detach(&holder, &PolicyReference::Own("receive".into())).await.unwrap();
    access.delete_policy_version("receive", 2).await.unwrap();
    access.delete_policy("receive").await.unwrap();
    assert_eq!(access.delete_user("anna").await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn limits_and_names_are_checked() {
    let Node { access, .. } = node(false);
    for name in ["", "a b", "ä", &"a".repeat(65)] {
        assert!(access.create_user(NewUser { name: name.into(), ..NewUser::default() }, 0).await.is_err(), "{name}");
    }
    access.create_role(role("worker", TRUST_LAMBDA), 0).await.unwrap();
    assert_eq!(access.create_role(role("Worker", TRUST_LAMBDA), 0).await.unwrap_err().kind(), ErrorKind::Exists);
    assert_eq!(access.create_role(role("other", ALLOW_SEND), 0).await.unwrap_err().kind(), ErrorKind::Invalid);
    let holder = Holder::Role("worker".into());
    let long = ALLOW_SEND.replace("\"*\"", &format!("\"arn:aws:sqs:r:0:{}\"", "q".repeat(10_240)));
    assert_eq!(access.put_inline(&holder, "long", long).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(access.put_inline(&holder, "bad", "{".into()).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(
        access.attach(&holder, PolicyReference::Own("no".into())).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(access.grants(&holder).unwrap().inline.is_empty());
}

/// A key of the root's.
fn keyed(access: &Access) -> String {
    access.catalog.access_keys.list().first().map(|key| key.id.clone()).unwrap_or_default()
}

/// Takes on the role `worker`, with a key of the root's behind it.
fn assume(access: &Access, caller: &Caller, policy: Option<&str>, now: Millis) -> Result<Grant, AccessError> {
    let ask = AssumeRole {
        role: "worker",
        resource: "arn:aws:iam::0:role/worker",
        action: "sts:AssumeRole",
        session: "night",
        policy,
        seconds: Some(900),
        identities: &[Identity::new("AWS", "anna")],
        account: &[Identity::new("AWS", "account")],
        context: &Context::default(),
    };
    let (_, given) = access.assume(caller, Origin::Key { id: keyed(access), user: None }, &ask, now)?;
    access.grant(&given.access_key, Some(&given.token), now)
}

#[tokio::test]
async fn roles_are_taken_on_by_those_whom_they_trust() {
    let Node { storage, access, .. } = node(false);
    let access = access.with_sessions(SessionKey::open(&storage).await.unwrap());
    access.root_keys(0).await.unwrap();
    let holder = Holder::Role("worker".into());
    assert_eq!(assume(&access, &anna(), None, 0).unwrap_err().kind(), ErrorKind::Forbidden);
    let first = access.create_role(role("worker", TRUST_LAMBDA), 0).await.unwrap();
    assert_eq!(assume(&access, &anna(), None, 0).unwrap_err().kind(), ErrorKind::Forbidden);
    // A role that trusts the user asks nobody else; one that trusts the account asks the user's policies.
    access.update_role("worker", None, Some(TRUST_ANNA.into()), None).await.unwrap();
    access.attach(&holder, PolicyReference::Service("Send".into())).await.unwrap();
    let grant = assume(&access, &anna(), None, 0).unwrap();
    assert_eq!(ask(&access, &grant.caller, "sqs:SendMessage"), Ok(()));
    access.update_role("worker", None, Some(TRUST_ACCOUNT.into()), None).await.unwrap();
    assert_eq!(assume(&access, &anna(), None, 0).unwrap_err().kind(), ErrorKind::Forbidden);
    assert!(assume(&access, &Caller::Root, None, 0).is_ok());
    // A session's policy narrows.
    let narrowed = assume(&access, &Caller::Root, Some(ALLOW_RECEIVE), 0).unwrap().caller;
    assert_eq!(ask(&access, &narrowed, "sqs:SendMessage"), Err(Denial::NotAllowed(PolicyKind::Session)));
    assert_eq!(ask(&access, &narrowed, "sqs:ReceiveMessage"), Err(Denial::NotAllowed(PolicyKind::Identity)));
    // Sessions of a role that was deleted are not good for another of its name.
    access.detach(&holder, &PolicyReference::Service("Send".into())).await.unwrap();
    access.delete_role("worker").await.unwrap();
    let second = access.create_role(role("worker", TRUST_ANNA), 0).await.unwrap();
    assert_ne!(first.id, second.id);
    access.attach(&holder, PolicyReference::Service("Send".into())).await.unwrap();
    assert!(matches!(&grant.caller, Caller::Role(RoleSession { role_id, .. }) if *role_id == first.id));
    assert!(ask(&access, &grant.caller, "sqs:SendMessage").is_err());
}

#[tokio::test]
async fn services_take_on_the_roles_that_trust_them() {
    let Node { catalog, access, .. } = node(false);
    let development = Access::new(catalog, true);
    access.create_role(role("worker", TRUST_LAMBDA), 0).await.unwrap();
    let take_on = |access: &Access, role: &str, service: &str| {
        access.take_on(role, &Identity::new("Service", service), "sts:AssumeRole", "run", &Context::default(), 0)
    };
    for access in [&access, &development] {
        let caller = take_on(access, "arn:aws:iam::0:role/path/worker", "lambda").unwrap().unwrap();
        assert!(ask(access, &caller, "sqs:SendMessage").is_err());
        access.put_inline(&Holder::Role("worker".into()), "send", ALLOW_SEND.into()).await.unwrap();
        assert_eq!(ask(access, &caller, "sqs:SendMessage"), Ok(()));
        access.delete_inline(&Holder::Role("worker".into()), "send").await.unwrap();
        assert_eq!(take_on(access, "worker", "ec2").unwrap_err().kind(), ErrorKind::Forbidden);
    }
    assert_eq!(take_on(&access, "missing", "lambda").unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(take_on(&development, "missing", "lambda").unwrap(), None);
}

#[tokio::test]
async fn temporary_credentials_end_with_the_key_behind_them() {
    let Node { storage, catalog, access, .. } = node(false);
    let key = SessionKey::open(&storage).await.unwrap();
    let development = Access::new(catalog, true).with_sessions(key.clone());
    let access = access.with_sessions(key);
    let session = |access: &Access, grant: Grant| access.user_session(&grant.caller, grant.origin, None, 0).unwrap();
    let good =
        |access: &Access, given: &TemporaryCredentials| access.grant(&given.access_key, Some(&given.token), 0).is_ok();
    // Of a development node's published key.
    let given = session(&development, development.grant("test", None, 0).unwrap());
    assert!(good(&development, &given));
    assert!(!good(&access, &given));
    // Of a user's key: it is switched off, on, and removed.
    access.create_user(NewUser { name: "anna".into(), ..NewUser::default() }, 0).await.unwrap();
    let long = access.create_key("anna", 0).await.unwrap();
    let given = session(&access, access.grant(&long.id, None, 0).unwrap());
    assert_eq!(access.grant(&given.access_key, Some(&given.token), 0).unwrap().caller, anna());
    access.set_key_active("anna", &long.id, false).await.unwrap();
    assert!(!good(&access, &given));
    access.set_key_active("anna", &long.id, true).await.unwrap();
    assert!(good(&access, &given));
    // What was asked for with temporary credentials has the same key behind it.
    let grant = access.grant(&given.access_key, Some(&given.token), 0).unwrap();
    let second = session(&access, grant);
    assert!(good(&access, &second));
    access.delete_key("anna", &long.id).await.unwrap();
    assert!(!good(&access, &given) && !good(&access, &second));
    // Another user of the name is another.
    let long = access.create_key("anna", 0).await.unwrap();
    let origin = Origin::Key { id: long.id.clone(), user: Some("another".into()) };
    let given = access.user_session(&anna(), origin, None, 0).unwrap();
    assert!(!good(&access, &given));
}

/// Either policy is enough, and a denial of either outweighs; what an account is allowed is left to the caller's policies.
#[tokio::test]
async fn a_resources_policy_counts_beside_the_callers() {
    let Node { access, .. } = node(false);
    access.create_user(NewUser { name: "anna".into(), ..NewUser::default() }, 0).await.unwrap();
    let own = [Identity::new("AWS", "arn:aws:iam::0:user/anna")];
    let all = [own[0].clone(), Identity::new("AWS", "arn:aws:iam::0:root")];
    let context = Context::default();
    let ask = |caller: &Caller, effect: &str, principal: &str| {
        let text = format!(
            r#"{{"Statement":{{"Effect":"{effect}",{principal},"Action":"SQS:SendMessage","Resource":"arn:aws:sqs:r:0:q"}}}}"#
        );
        let policy = Policy::parse(&text, Use::Resource).unwrap();
        let resource = ResourcePolicy { policy: &policy, own: &own, all: &all };
        access.decide(caller, &to_the_queue("sqs:SendMessage", &context), Some(resource))
    };
    let (anna, anybody) = (anna(), r#""Principal":"*""#);
    let named = |name: &str| format!(r#""Principal":{{"AWS":"arn:aws:iam::0:{name}"}}"#);
    let implicit = Err(Denial::NotAllowed(PolicyKind::Identity));
    let explicit = Err(Denial::Explicit(PolicyKind::Resource));
    for (effect, principal, expected) in [
        ("Allow", named("user/anna"), Ok(())),
        ("Allow", anybody.to_owned(), Ok(())),
        ("Allow", named("root"), implicit),
        ("Allow", named("user/ben"), implicit),
        ("Deny", named("user/ben"), implicit),
        ("Deny", named("root"), explicit),
    ] {
        assert_eq!(ask(&anna, effect, &principal), expected, "{effect} {principal}");
    }
    access.put_inline(&Holder::User("anna".into()), "send", ALLOW_SEND.into()).await.unwrap();
    for (effect, principal, expected) in [
        ("Allow", named("user/ben"), Ok(())),
        ("Deny", named("user/anna"), explicit),
        ("Deny", anybody.to_owned(), explicit),
        ("Deny", named("user/anna").replace("Principal", "NotPrincipal"), Ok(())),
        ("Deny", named("user/ben").replace("Principal", "NotPrincipal"), explicit),
    ] {
        assert_eq!(ask(&anna, effect, &principal), expected, "{effect} {principal}");
    }
    assert_eq!(ask(&Caller::Root, "Deny", anybody), Ok(()));
    let gone = Caller::User { name: "gone".into() };
    assert_eq!(ask(&gone, "Allow", anybody), implicit);
}

#[tokio::test]
async fn functions_have_the_rights_of_their_roles() {
    let Node { catalog, access, .. } = node(false);
    let development = Access::new(catalog.clone(), true);
    for (name, role) in [("free", ""), ("bound", "arn:aws:iam::0:role/service-role/worker"), ("lost", "arn:a/missing")]
    {
        catalog.functions.create(function(name, role)).await.unwrap();
    }
    let may = |access: &Access, function: &str| {
        ask(access, &Caller::Function { name: function.into() }, "sqs:SendMessage").is_ok()
    };
    access.create_role(role("worker", TRUST_LAMBDA), 0).await.unwrap();
    for access in [&access, &development] {
        assert!(may(access, "free"));
        assert!(!may(access, "bound"));
        assert!(!may(access, "deleted"));
    }
    assert!(!may(&access, "lost"));
    assert!(may(&development, "lost"));
    access.put_inline(&Holder::Role("worker".into()), "send", ALLOW_SEND.into()).await.unwrap();
    assert!(may(&access, "bound"));
}

fn function(name: &str, role: &str) -> FunctionDefinition {
    serde_json::from_value(serde_json::json!({
        "name": name, "runtime": "python3.11", "handler": "app.handler", "role": role, "timeout_seconds": 3,
        "memory_mib": 128, "code_hash": "", "code_bytes": 0, "modified": 0, "revision": "",
    }))
    .unwrap()
}
