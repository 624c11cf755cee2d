//! What a pipeline file says of event hubs: namespaces with their throughput units, hubs with their consumer groups, and the
//! shared access policies of both.

use serde::Deserialize;
use toml::Spanned;

use super::limits::RETENTION_BYTES;
use super::resolve::Resolver;
use super::source::Located;
use crate::definition::AccessRights;

/// Partitions of a hub: the service's own limit outside its dedicated tier.
const PARTITIONS: (u64, u64) = (1, 32);
/// Throughput units of a namespace, 0 for no limit: the service's own.
const UNITS: (u64, u64) = (0, 40);
/// Policies of a namespace besides the one that it is made with, and of a hub: the service's own limit.
const POLICIES_MAX: (usize, usize) = (11, 12);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespaceTable {
    pub(super) name: Spanned<String>,
    throughput_units: Option<u32>,
    /// Up to how many units it gets by itself.
    maximum_throughput_units: Option<u32>,
    #[serde(default, alias = "policies")]
    policy: Vec<PolicyTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventHubTable {
    pub(super) name: Spanned<String>,
    /// The namespace; the default one without it.
    namespace: Option<String>,
    #[serde(default = "four")]
    partitions: u32,
    #[serde(default = "one_day")]
    retention_hours: u32,
    retention_bytes: Option<Spanned<u64>>,
    #[serde(default)]
    consumer_groups: Vec<String>,
    #[serde(default, alias = "policies")]
    policy: Vec<PolicyTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyTable {
    name: Spanned<String>,
    rights: Vec<RightName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RightName {
    Send,
    Listen,
    Manage,
}

/// A namespace of hubs to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceSpec {
    /// Its name.
    pub name: String,
    /// How much it takes and gives in a second, 0 for no limit; `None`: as it is.
    pub units: Option<u32>,
    /// Up to how many units it gets by itself; 0: it gets none.
    pub units_max: u32,
    /// Policies that hold for all its hubs, besides those that it has.
    pub policies: Vec<PolicySpec>,
}

/// A hub to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSpec {
    /// Its name.
    pub name: String,
    /// Its namespace; `None`: the default one.
    pub namespace: Option<String>,
    /// 1 to 32.
    pub partitions: u32,
    /// How long events stay.
    pub retention_hours: u32,
    /// Bytes that each partition keeps, 0 for no limit; `None`: as it is.
    pub retention_bytes: Option<u64>,
    /// Consumer groups besides the one that every hub has.
    pub consumer_groups: Vec<String>,
    /// Policies that hold for it only, besides those that it has.
    pub policies: Vec<PolicySpec>,
}

/// A shared access policy to be. Its keys are made with it and stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySpec {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub rights: AccessRights,
}

impl HubSpec {
    /// The stream of its records in the catalog.
    #[must_use]
    pub fn stream(&self) -> String {
        self.namespace.as_ref().map_or_else(|| self.name.clone(), |namespace| format!("{namespace}/{}", self.name))
    }
}

impl Resolver<'_> {
    pub(super) fn namespace(&mut self, table: NamespaceTable) -> Located<NamespaceSpec> {
        let line = self.line(&table.name);
        let (units, units_max) = (table.throughput_units, table.maximum_throughput_units);
        self.range(line, "throughput_units", units.unwrap_or(0).into(), UNITS);
        self.range(line, "maximum_throughput_units", units_max.unwrap_or(0).into(), UNITS);
        if let Some(units_max) = units_max.filter(|units_max| *units_max > 0) {
            match units.filter(|units| *units > 0) {
                None => self.wrong(
                    line,
                    "maximum_throughput_units without throughput_units to grow from".to_owned(),
                    "add throughput_units = 1",
                ),
                Some(units) if units > units_max => self.wrong(
                    line,
                    format!("expected maximum_throughput_units of {units} at least, found {units_max}"),
                    "a namespace grows by itself and never shrinks",
                ),
                Some(_) => {}
            }
        }
        let policies = self.policies(line, table.policy, POLICIES_MAX.0);
        let name = table.name.into_inner();
        Located { value: NamespaceSpec { name, units, units_max: units_max.unwrap_or(0), policies }, line }
    }

    pub(super) fn hub(&mut self, table: EventHubTable) -> Located<HubSpec> {
        let line = self.line(&table.name);
        self.range(line, "partitions", table.partitions.into(), PARTITIONS);
        self.range(line, "retention_hours", table.retention_hours.into(), (1, 2_160));
        let retention_bytes = self.within("retention_bytes", table.retention_bytes.as_ref(), RETENTION_BYTES);
        let EventHubTable { name, namespace, partitions, retention_hours, consumer_groups, policy, .. } = table;
        let policies = self.policies(line, policy, POLICIES_MAX.1);
        let name = name.into_inner();
        let value =
            HubSpec { name, namespace, partitions, retention_hours, retention_bytes, consumer_groups, policies };
        Located { value, line }
    }

    fn policies(&mut self, line: usize, tables: Vec<PolicyTable>, most: usize) -> Vec<PolicySpec> {
        self.unique("policy", tables.iter().map(|table| &table.name));
        if tables.len() > most {
            self.wrong(line, format!("expected at most {most} policies, found {}", tables.len()), "");
        }
        tables.into_iter().map(|table| self.policy(table)).collect()
    }

    fn policy(&mut self, table: PolicyTable) -> PolicySpec {
        let line = self.line(&table.name);
        let has = |right| table.rights.contains(&right);
        let rights =
            AccessRights { send: has(RightName::Send), listen: has(RightName::Listen), manage: has(RightName::Manage) };
        let name = table.name.get_ref();
        if table.rights.is_empty() {
            let message = format!("policy `{name}` has no rights");
            self.wrong(line, message, "rights = [\"send\"], or \"listen\", or both, or all three with \"manage\"");
        } else if rights.manage && rights != AccessRights::ALL {
            let message = format!("policy `{name}` has the right to manage without those to send and to listen");
            self.wrong(line, message, "rights = [\"send\", \"listen\", \"manage\"]");
        }
        PolicySpec { name: table.name.into_inner(), rights }
    }
}

fn four() -> u32 {
    4
}

fn one_day() -> u32 {
    24
}

#[cfg(test)]
mod tests {
    use crate::definition::AccessRights;
    use crate::pipeline::Pipeline;

    #[test]
    fn policies_and_units_are_read() {
        let text = r#"
[[event_hubs_namespace]]
name = "shop"
throughput_units = 2
maximum_throughput_units = 5
policies = [{ name = "all", rights = ["send", "listen", "manage"] }]

[[event_hub]]
name = "orders"
namespace = "shop"
retention_bytes = 1_000_000

[[event_hub.policy]]
name = "till"
rights = ["send"]
"#;
        let pipeline = Pipeline::parse("f", text).unwrap();
        assert_eq!(pipeline.hubs[0].value.retention_bytes, Some(1_000_000));
        let namespace = &pipeline.namespaces[0].value;
        assert_eq!((namespace.units, namespace.units_max), (Some(2), 5));
        assert_eq!(namespace.policies[0].rights, AccessRights::ALL);
        let policy = &pipeline.hubs[0].value.policies[0];
        assert_eq!(
            (policy.name.as_str(), policy.rights),
            ("till", AccessRights { send: true, ..AccessRights::default() })
        );
    }

    #[test]
    fn what_could_not_hold_is_a_mistake() {
        let namespace = |rest: &str| format!("[[event_hubs_namespace]]\nname = \"shop\"\n{rest}\n");
        for (text, words) in [
            (namespace("throughput_units = 41"), "0 to 40"),
            (namespace("maximum_throughput_units = 4"), "to grow from"),
            (namespace("throughput_units = 4\nmaximum_throughput_units = 2"), "4 at least"),
            (namespace("policies = [{ name = \"a\", rights = [] }]"), "no rights"),
            (namespace("policies = [{ name = \"a\", rights = [\"manage\"] }]"), "to manage without"),
            (namespace("policies = [{ name = \"a\", rights = [\"read\"] }]"), "read"),
            (
                namespace("policies = [{ name = \"a\", rights = [\"send\"] }, { name = \"a\", rights = [\"send\"] }]"),
                "a second policy",
            ),
        ] {
            let mistakes = Pipeline::parse("f", &text).unwrap_err();
            assert!(mistakes.iter().any(|mistake| mistake.message.contains(words)), "{words}: {mistakes:?}");
        }
    }
}
