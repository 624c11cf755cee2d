//! Addresses of hubs and what is below them: `sb://host/hub/ConsumerGroups/group/Partitions/0`, or without the host.

/// What an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The hub.
    pub hub: String,
    /// The consumer group, to read.
    pub group: Option<String>,
    /// The partition as it was written.
    pub partition: Option<String>,
    /// The publisher, to send.
    pub publisher: Option<String>,
}

/// The segments of an address's path, without scheme and host.
pub fn path(address: &str) -> Vec<&str> {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => address,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// What a path names; `None` when it is none of a hub.
pub fn parse(path: &[&str]) -> Option<Address> {
    let (hub, mut rest) = path.split_first()?;
    let mut address = Address { hub: (*hub).to_owned(), group: None, partition: None, publisher: None };
    while let Some((name, others)) = rest.split_first() {
        let (value, others) = others.split_first()?;
        let place = match name.to_ascii_lowercase().as_str() {
            "consumergroups" => &mut address.group,
            "partitions" => &mut address.partition,
            "publishers" => &mut address.publisher,
            _ => return None,
        };
        *place = Some((*value).to_owned());
        rest = others;
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_with_and_without_a_host() {
        let with = parse(&path("amqps://host:5671/hub/ConsumerGroups/$default/Partitions/3")).unwrap();
        assert_eq!(
            (with.hub.as_str(), with.group.as_deref(), with.partition.as_deref()),
            ("hub", Some("$default"), Some("3"))
        );
        let without = parse(&path("hub/Partitions/0")).unwrap();
        assert_eq!((without.hub.as_str(), without.partition.as_deref()), ("hub", Some("0")));
        for bad in ["", "sb://host", "hub/Partitions", "hub/what/else"] {
            assert_eq!(parse(&path(bad)), None, "{bad}");
        }
    }
}
