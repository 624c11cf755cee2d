//! `/access`: roles and users, and what they may do. Secrets are not shown.

use askama::Template;
use millstream_catalog::{Catalog, Grants, PolicyReference};

use super::{Frame, ListPage};
use crate::Console;
use crate::error::ConsoleError;
use crate::format;
use crate::live::Fragments;
use crate::page::Page;
use crate::partials::{Grid, page_of};

/// A role or a user.
struct Principal {
    /// Roles before users, by name.
    key: String,
    kind: &'static str,
    name: String,
    /// What a role is used by, or how many keys a user has.
    used: String,
    grants: Grants,
    created: i64,
}

pub(super) fn page(frame: Frame, live: Fragments) -> Result<String, ConsoleError> {
    Ok(ListPage { frame, live, more: "" }.render()?)
}

pub(super) fn fragments(console: &Console, after: &str) -> Result<Fragments, ConsoleError> {
    let (principals, next) = page_of(principals(console.catalog()), after, |principal| &principal.key);
    let empty = "No roles and no users. Define them in a pipeline file, or create them with any IAM client.";
    let mut grid = Grid::new(&["name", "kind", "used by", "policies", "made (UTC)"], empty);
    grid.next = next.map(|key| Page::Access(key).href());
    for principal in principals {
        grid.rows.push(vec![
            principal.name.into(),
            principal.kind.into(),
            principal.used.into(),
            policies(&principal.grants).into(),
            format::date_time(principal.created).into(),
        ]);
    }
    let mut fragments = Fragments::default();
    fragments.add("list", &grid)?;
    Ok(fragments)
}

fn principals(catalog: &Catalog) -> Vec<Principal> {
    let functions = catalog.functions.list();
    let keys = catalog.access_keys.list();
    let roles = catalog.roles.list().into_iter().map(|role| {
        // A function names its role by its full name, whose last part is the role's own.
        let has = functions.iter().filter(|function| function.role.rsplit('/').next() == Some(&role.name));
        Principal {
            key: format!("role/{}", role.name),
            kind: "role",
            name: role.name.clone(),
            used: has.map(|function| function.name.as_str()).collect::<Vec<_>>().join(", "),
            grants: role.grants.clone(),
            created: role.created,
        }
    });
    let users = catalog.users.list().into_iter().map(|user| {
        let owner = format!("user:{}", user.name);
        let active = keys.iter().filter(|key| key.principal == owner && !key.disabled).count();
        Principal {
            key: format!("user/{}", user.name),
            kind: "user",
            name: user.name.clone(),
            used: format!("{active} active keys"),
            grants: user.grants.clone(),
            created: user.created,
        }
    });
    roles.chain(users).collect()
}

/// The names of all policies, those of its own last.
fn policies(grants: &Grants) -> String {
    let attached = grants.attached.iter().map(PolicyReference::name);
    attached.chain(grants.inline.keys().map(String::as_str)).collect::<Vec<_>>().join(", ")
}
