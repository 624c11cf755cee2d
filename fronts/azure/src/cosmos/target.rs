//! Which resource a path names, and what signatures call it.

use percent_encoding::percent_decode_str;

use super::error::CosmosError;

/// A resource, by names as they are, not as they are encoded in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Account,
    Databases,
    Database {
        database: String,
    },
    Containers {
        database: String,
    },
    Container {
        database: String,
        container: String,
    },
    PartitionKeyRanges {
        database: String,
        container: String,
    },
    Documents {
        database: String,
        container: String,
    },
    Document {
        database: String,
        container: String,
        id: String,
    },
    /// All documents of a partition key.
    PartitionKeyDelete {
        database: String,
        container: String,
    },
    Offers,
    Offer {
        id: String,
    },
    /// A resource of the service that this node does not have.
    Unsupported {
        feature: &'static str,
        kind: String,
        link: String,
    },
}

/// Kinds of resources that this node does not have, and what people call them.
const UNSUPPORTED: [(&str, &str); 8] = [
    ("sprocs", "Stored procedures"),
    ("triggers", "Triggers"),
    ("udfs", "User-defined functions"),
    ("conflicts", "Conflict feeds"),
    ("attachments", "Attachments"),
    ("users", "Users"),
    ("permissions", "Permissions"),
    ("clientencryptionkeys", "Client encryption keys"),
];

impl Target {
    pub fn of_path(path: &str) -> Result<Self, CosmosError> {
        let decoded = |segment: &str| {
            let text = percent_decode_str(segment).decode_utf8();
            text.map(|text| text.into_owned()).map_err(|_| CosmosError::bad_request("The path is not UTF-8."))
        };
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let segments = segments.map(decoded).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<&str> = segments.iter().map(String::as_str).collect();
        let own = |name: &str| name.to_owned();
        Ok(match names.as_slice() {
            [] => Self::Account,
            ["dbs"] => Self::Databases,
            ["dbs", database] => Self::Database { database: own(database) },
            ["dbs", database, "colls"] => Self::Containers { database: own(database) },
            ["dbs", database, "colls", container] => {
                Self::Container { database: own(database), container: own(container) }
            }
            ["dbs", database, "colls", container, "pkranges"] => {
                Self::PartitionKeyRanges { database: own(database), container: own(container) }
            }
            ["dbs", database, "colls", container, "docs"] => {
                Self::Documents { database: own(database), container: own(container) }
            }
            ["dbs", database, "colls", container, "docs", id] => {
                Self::Document { database: own(database), container: own(container), id: own(id) }
            }
            ["dbs", database, "colls", container, "operations", "partitionkeydelete"] => {
                Self::PartitionKeyDelete { database: own(database), container: own(container) }
            }
            ["offers"] => Self::Offers,
            ["offers", id] => Self::Offer { id: own(id) },
            _ => return Self::unsupported(&names),
        })
    }

    fn unsupported(names: &[&str]) -> Result<Self, CosmosError> {
        // A feed ends in its kind, a resource in its name; a feed is signed as a part of what it belongs to.
        let feed = names.len() % 2 == 1;
        let kind = if feed { names.last() } else { names.get(names.len().wrapping_sub(2)) };
        let kind = kind.copied().unwrap_or_default();
        let (_, feature) = UNSUPPORTED
            .into_iter()
            .find(|(known, _)| *known == kind)
            .ok_or_else(|| CosmosError::bad_request(format!("There is no kind of resource `{kind}`.")))?;
        let link = names[..names.len() - usize::from(feed)].join("/");
        Ok(Self::Unsupported { feature, kind: kind.to_owned(), link })
    }

    /// The kind of resource and its link as a signature has them: a feed is signed as a part of what it belongs to.
    pub fn signed(&self) -> (&str, String) {
        let database_link = |database: &str| format!("dbs/{database}");
        let container_link = |database: &str, container: &str| format!("dbs/{database}/colls/{container}");
        match self {
            Self::Account => ("", String::new()),
            Self::Databases => ("dbs", String::new()),
            Self::Database { database } => ("dbs", database_link(database)),
            Self::Containers { database } => ("colls", database_link(database)),
            Self::Container { database, container } => ("colls", container_link(database, container)),
            Self::PartitionKeyRanges { database, container } => ("pkranges", container_link(database, container)),
            Self::Documents { database, container } => ("docs", container_link(database, container)),
            Self::Document { database, container, id } => {
                ("docs", format!("{}/docs/{id}", container_link(database, container)))
            }
            Self::PartitionKeyDelete { database, container } => ("colls", container_link(database, container)),
            Self::Offers => ("offers", String::new()),
            Self::Offer { id } => ("offers", id.to_lowercase()),
            Self::Unsupported { kind, link, .. } => (kind, link.clone()),
        }
    }
}
