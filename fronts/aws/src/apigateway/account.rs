//! `GetAccount`

use http::StatusCode;
use serde_json::json;

use super::{Answer, ApiGateway};

pub(super) fn get(front: &ApiGateway) -> Answer {
    let mut account = json!({ "features": ["UsagePlans"], "apiKeyVersion": "4" });
    if let Some(throttle) = front.plans.account_throttle() {
        account["throttleSettings"] = json!({ "burstLimit": throttle.burst, "rateLimit": throttle.rate() });
    }
    Ok((StatusCode::OK, account))
}
