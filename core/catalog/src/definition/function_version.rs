//! Versions and aliases of functions: copies that never change, and names that point to them.
//!
//! A function is referred to by its name, or by `NAME:QUALIFIER` where the qualifier is a version's number or an alias. Names
//! hold no colon.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AsyncPolicy, FunctionDefinition};
use crate::Collection;

/// The whole of an alias's invocations, see [`AliasSplit::parts`].
pub const ALIAS_PARTS: u32 = 1_000_000;

/// What the function itself is called among its versions.
pub const LATEST: &str = "$LATEST";

/// A name for a version of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionAlias {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The version; `None`: the function as it can be changed.
    pub version: Option<u32>,
    /// The version that runs some of its invocations instead.
    #[serde(default)]
    pub split: Option<AliasSplit>,
    /// How asynchronous invocations by this name are treated; `None`: the defaults.
    #[serde(default)]
    pub asynchronous: Option<AsyncPolicy>,
    /// A new UUID with each change.
    pub revision: String,
}

/// A second version of an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasSplit {
    /// The version.
    pub version: u32,
    /// How many of [`ALIAS_PARTS`] invocations it runs.
    pub parts: u32,
}

impl FunctionAlias {
    /// Whether it points to a version.
    #[must_use]
    pub fn names(&self, version: u32) -> bool {
        self.version == Some(version) || self.split.is_some_and(|split| split.version == version)
    }

    /// The version that an invocation gets; `chance` is below [`ALIAS_PARTS`], and 0 stands for the alias's own version.
    fn pick(&self, chance: u32) -> Option<u32> {
        match self.split {
            // From above: without a chance it is the first.
            Some(split) if chance >= ALIAS_PARTS - split.parts.min(ALIAS_PARTS) && chance > 0 => Some(split.version),
            _ => self.version,
        }
    }
}

/// The number that a qualifier is. Other ways to write it name nothing: what is said of a version is said of its one name.
#[must_use]
pub fn version_number(qualifier: &str) -> Option<u32> {
    qualifier.parse().ok().filter(|number: &u32| number.to_string() == qualifier)
}

impl Collection<FunctionDefinition> {
    /// Looks at what a reference names, an alias standing for its own version; `None` when it is not there.
    pub fn referred<T>(&self, reference: &str, look: impl FnOnce(&FunctionDefinition) -> T) -> Option<T> {
        let (name, qualifier) = FunctionDefinition::split_reference(reference);
        self.get(name)?.qualified(qualifier, 0).map(look)
    }
}

impl FunctionDefinition {
    /// The name and the qualifier of a reference; `$LATEST` is none.
    #[must_use]
    pub fn split_reference(reference: &str) -> (&str, Option<&str>) {
        match reference.split_once(':') {
            Some((name, LATEST)) => (name, None),
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (reference, None),
        }
    }

    /// What a qualifier names; `chance` decides between the versions of an alias, see [`AliasSplit`].
    #[must_use]
    pub fn qualified(&self, qualifier: Option<&str>, chance: u32) -> Option<&Self> {
        let Some(qualifier) = qualifier else { return Some(self) };
        let version = match version_number(qualifier) {
            Some(number) => Some(number),
            None => self.aliases.get(qualifier)?.pick(chance),
        };
        version.map_or(Some(self), |number| self.versions.get(&number))
    }

    /// The revision of what a qualifier names: versions and aliases have their own.
    #[must_use]
    pub fn revision_of(&self, qualifier: Option<&str>) -> Option<&str> {
        self.own(qualifier, |function| &function.revision, |alias| &alias.revision).map(String::as_str)
    }

    /// The same, to be changed.
    pub fn revision_of_mut(&mut self, qualifier: Option<&str>) -> Option<&mut String> {
        self.own_mut(qualifier, |function| &mut function.revision, |alias| &mut alias.revision)
    }

    /// How asynchronous invocations of just that qualifier are treated: versions and aliases do not have it of the function.
    #[must_use]
    pub fn async_policy_of(&self, qualifier: Option<&str>) -> Option<&AsyncPolicy> {
        self.own(qualifier, |function| &function.asynchronous, |alias| &alias.asynchronous)?.as_ref()
    }

    /// The same, to be changed; `None` when the qualifier names nothing.
    pub fn async_policy_of_mut(&mut self, qualifier: Option<&str>) -> Option<&mut Option<AsyncPolicy>> {
        self.own_mut(qualifier, |function| &mut function.asynchronous, |alias| &mut alias.asynchronous)
    }

    /// What is a qualifier's own: the function's, a version's or an alias's.
    fn own<T>(
        &self,
        qualifier: Option<&str>,
        of_function: fn(&Self) -> &T,
        of_alias: fn(&FunctionAlias) -> &T,
    ) -> Option<&T> {
        match (qualifier, qualifier.and_then(version_number)) {
            (None, _) => Some(of_function(self)),
            (_, Some(number)) => self.versions.get(&number).map(of_function),
            (Some(alias), None) => self.aliases.get(alias).map(of_alias),
        }
    }

    fn own_mut<T>(
        &mut self,
        qualifier: Option<&str>,
        of_function: fn(&mut Self) -> &mut T,
        of_alias: fn(&mut FunctionAlias) -> &mut T,
    ) -> Option<&mut T> {
        match (qualifier, qualifier.and_then(version_number)) {
            (None, _) => Some(of_function(self)),
            (_, Some(number)) => self.versions.get_mut(&number).map(of_function),
            (Some(alias), None) => self.aliases.get_mut(alias).map(of_alias),
        }
    }

    /// What refers to just this: the name, with the number of a version.
    #[must_use]
    pub fn reference(&self) -> String {
        self.version.map_or_else(|| self.name.clone(), |number| format!("{}:{number}", self.name))
    }

    /// Its version as clients see it.
    #[must_use]
    pub fn version_text(&self) -> String {
        self.version.map_or_else(|| LATEST.to_owned(), |number| number.to_string())
    }

    /// It and its versions.
    pub fn all_versions(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.versions.values())
    }

    /// A copy under a number. What belongs to the function as a whole stays with the function.
    #[must_use]
    pub fn as_version(&self, number: u32, description: String, revision: String) -> Self {
        Self {
            version: Some(number),
            description,
            revision,
            concurrency_limit: None,
            asynchronous: None,
            permissions: Vec::new(),
            tags: BTreeMap::new(),
            versions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            last_version: 0,
            ..self.clone()
        }
    }

    /// Whether a version runs as this does: publishing would make it once more.
    #[must_use]
    pub fn runs_as(&self, version: &Self) -> bool {
        let copy = |of: &Self| {
            let copy = of.as_version(0, String::new(), String::new());
            Self { modified: 0, generation: String::new(), ..copy }
        };
        copy(self) == copy(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function() -> FunctionDefinition {
        let mut function: FunctionDefinition = serde_json::from_value(serde_json::json!({
            "name": "f", "runtime": "python3.11", "handler": "a.b", "timeout_seconds": 3, "memory_mib": 128,
            "code_hash": "x", "code_bytes": 1, "modified": 1, "revision": "r", "tags": { "a": "b" },
        }))
        .unwrap();
        for number in [1, 2] {
            let version = function.as_version(number, String::new(), number.to_string());
            function.versions.insert(number, version);
        }
        let split = Some(AliasSplit { version: 2, parts: 250_000 });
        let (description, revision) = (String::new(), String::new());
        let alias = FunctionAlias { description, version: Some(1), split, asynchronous: None, revision };
        function.aliases.insert("live".to_owned(), alias);
        function
    }

    #[test]
    fn qualifiers_name_versions() {
        let function = function();
        for (reference, chance, expected) in [
            ("f", 0, Some(None)),
            ("f:$LATEST", 0, Some(None)),
            ("f:2", 0, Some(Some(2))),
            ("f:3", 0, None),
            ("f:live", 0, Some(Some(1))),
            ("f:live", 749_999, Some(Some(1))),
            ("f:live", 750_000, Some(Some(2))),
            ("f:live", 999_999, Some(Some(2))),
            ("f:other", 0, None),
        ] {
            let (name, qualifier) = FunctionDefinition::split_reference(reference);
            assert_eq!(name, "f");
            let found = function.qualified(qualifier, chance).map(|found| found.version);
            assert_eq!(found, expected, "{reference} {chance}");
        }
        for (qualifier, revision) in
            [(None, Some("r")), (Some("2"), Some("2")), (Some("live"), Some("")), (Some("3"), None)]
        {
            assert_eq!(
                function.clone().revision_of_mut(qualifier).map(|revision| revision.clone()).as_deref(),
                revision
            );
            assert_eq!(function.revision_of(qualifier), revision);
        }
        assert_eq!(function.versions[&2].reference(), "f:2");
        assert_eq!((function.version_text(), function.versions[&2].version_text()), ("$LATEST".into(), "2".into()));
    }

    #[test]
    fn a_version_is_what_runs_and_nothing_else() {
        let function = function();
        let version = &function.versions[&1];
        assert!(version.tags.is_empty() && version.versions.is_empty() && version.aliases.is_empty());
        assert!(function.runs_as(version));
        let other = FunctionDefinition { timeout_seconds: 4, ..function.clone() };
        assert!(!other.runs_as(version));
        let tagged = FunctionDefinition {
            tags: BTreeMap::new(),
            concurrency_limit: Some(1),
            generation: "other".to_owned(),
            ..function
        };
        assert!(tagged.runs_as(&tagged.versions[&2]));
    }
}
