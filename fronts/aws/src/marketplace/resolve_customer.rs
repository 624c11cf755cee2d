//! `ResolveCustomer`

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Marketplace, error};
use crate::json_protocol::{Constraints, JsonRequest};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    registration_token: Option<String>,
}

pub(super) async fn call(front: &Marketplace, request: &JsonRequest) -> Answer {
    let input: Input = request.input()?;
    Constraints::new().required("registrationToken", input.registration_token.as_ref()).finish()?;
    let token = input.registration_token.unwrap_or_default();
    let found = front.engine.resolve(&token).await.map_err(|e| error(&e))?;
    let answer = json!({
        "CustomerIdentifier": found.customer,
        "CustomerAWSAccountId": found.account,
        "ProductCode": found.product,
        "LicenseArn": front.license_arn(&found.id),
    });
    Ok(Bytes::from(answer.to_string()))
}
