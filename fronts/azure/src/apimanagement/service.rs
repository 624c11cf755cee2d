//! Services: `PUT`, `GET`, `DELETE`, and their list.

use http::{Method, StatusCode};
use millstream_catalog::ManagedServiceDefinition;
use serde_json::{Value, json};

use super::ApiManagement;
use super::management::{Answer, Target, page, put, unsupported};
use crate::request::AzureRequest;

pub(super) async fn answer(front: &ApiManagement, request: &AzureRequest, target: &Target) -> Answer {
    let name = target.service.as_str();
    match request.method {
        Method::GET if name.is_empty() => {
            let root = |name: &str| format!("{}/{name}", target.root.trim_end_matches('/'));
            let services = front.managed.services();
            page(request, services.iter().map(|service| shown(&root(&service.name), service)).collect())
        }
        Method::PUT => {
            let made = front.managed.put_service(name).await?;
            Ok((put(made), shown(&target.root, &*front.managed.service(name)?)))
        }
        Method::GET => Ok((StatusCode::OK, shown(&target.root, &*front.managed.service(name)?))),
        Method::DELETE => {
            front.managed.delete_service(name).await?;
            Ok((StatusCode::OK, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

fn shown(id: &str, service: &ManagedServiceDefinition) -> Value {
    json!({
        "id": id,
        "type": "Microsoft.ApiManagement/service",
        "name": service.name,
        "properties": {
            "provisioningState": "Succeeded",
            "gatewayUrl": format!("https://{}.azure-api.net", service.name),
        },
    })
}
