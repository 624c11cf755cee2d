//! Where a node stands in the cloud's names: its region and account, as ARNs say them.

/// The account of a node: AWS never gives this number.
pub const ACCOUNT: &str = "000000000000";

/// A node's region and account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `us-east-1`
    pub region: String,
    /// [`ACCOUNT`]
    pub account: String,
}

impl Place {
    /// A place in a region.
    #[must_use]
    pub fn new(region: &str) -> Self {
        Self { region: region.to_owned(), account: ACCOUNT.to_owned() }
    }

    /// `arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE`
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }

    /// Whether an ARN is of this node's region and account.
    #[must_use]
    pub fn is_own(&self, arn: &str) -> bool {
        let mut parts = arn.splitn(6, ':').skip(3);
        parts.next() == Some(&self.region) && parts.next() == Some(&self.account)
    }

    /// An ARN as this node has it. Services look at its last part only, so policies must not see another region or account.
    #[must_use]
    pub fn own_arn(&self, arn: &str) -> String {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, service, _, _, resource] => self.arn(service, resource),
            _ => arn.to_owned(),
        }
    }
}

/// The resource part of an ARN of a service, without its leading kind: `stream/trades` of `stream/` gives `trades`.
#[must_use]
pub fn resource<'a>(arn: &'a str, service: &str, kind: &str) -> Option<&'a str> {
    let mut parts = arn.splitn(6, ':');
    let fixed = parts.next()? == "arn" && parts.next().is_some() && parts.next()? == service;
    let resource = parts.nth(2)?;
    if fixed { resource.strip_prefix(kind).filter(|name| !name.is_empty()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_made_and_read() {
        let arn = Place::new("us-east-1").arn("kinesis", "stream/trades");
        assert_eq!(arn, "arn:aws:kinesis:us-east-1:000000000000:stream/trades");
        assert_eq!(resource(&arn, "kinesis", "stream/"), Some("trades"));
        assert_eq!(Place::new("us-east-1").own_arn("arn:aws:kinesis:eu-west-1:1:stream/trades"), arn);
        assert!(Place::new("us-east-1").is_own(&arn) && !Place::new("eu-west-1").is_own(&arn));
        assert!(!Place::new("us-east-1").is_own("arn:aws:kinesis:us-east-1:1:stream/trades"));
        assert_eq!(resource(&arn, "firehose", "stream/"), None);
        assert_eq!(resource("trades", "kinesis", "stream/"), None);
        assert_eq!(resource("arn:aws:lambda:r:a:function:f", "lambda", "function:"), Some("f"));
    }
}
