//! Kinesis Analytics: applications.

use super::{ANY, Member};
use crate::place::Place;

pub(super) fn resource(place: &Place, operation: &str, member: Member<'_>) -> String {
    let none = matches!(operation, "ListApplications" | "DiscoverInputSchema");
    let name = if none { None } else { member("ApplicationName") };
    name.map_or(ANY.to_owned(), |name| place.arn("kinesisanalytics", &format!("application/{name}")))
}
