//! Kinesis Analytics: applications.

use super::{ANY, Member};
use crate::place::Place;

pub(super) fn resource(place: &Place, member: Member<'_>) -> String {
    let name = member("ApplicationName");
    name.map_or(ANY.to_owned(), |name| place.arn("kinesisanalytics", &format!("application/{name}")))
}
