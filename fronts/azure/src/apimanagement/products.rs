//! Products: `PUT`, `GET`, `DELETE`, their list, and the APIs in them.

use http::{Method, StatusCode};
use millstream_catalog::Product;
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ArmError;
use super::management::{Answer, Target, input, page, put, unsupported};
use super::{ApiManagement, apis as api_resources};
use crate::request::AzureRequest;

#[derive(Deserialize)]
struct Input {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    display_name: Option<String>,
    description: Option<String>,
    subscription_required: Option<bool>,
    approval_required: Option<bool>,
    state: Option<String>,
}

pub(super) fn list(front: &ApiManagement, request: &AzureRequest, target: &Target) -> Answer {
    let service = front.managed.service(&target.service)?;
    page(request, service.products.values().map(|product| shown(target, product)).collect())
}

pub(super) async fn answer(front: &ApiManagement, request: &AzureRequest, target: &Target, name: &str) -> Answer {
    match request.method {
        Method::PUT => {
            let product = asked(name, input::<Input>(request)?.properties)?;
            let made = front.managed.put_product(&target.service, product).await?;
            Ok((put(made), shown(target, &find(front, target, name)?)))
        }
        Method::GET => Ok((StatusCode::OK, shown(target, &find(front, target, name)?))),
        Method::DELETE => {
            front.managed.delete_product(&target.service, name).await?;
            Ok((StatusCode::OK, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

pub(super) fn apis(front: &ApiManagement, request: &AzureRequest, target: &Target, name: &str) -> Answer {
    let service = front.managed.service(&target.service)?;
    let product = find(front, target, name)?;
    let linked = product.apis.iter().filter_map(|api| service.apis.get(api));
    page(request, linked.map(|api| api_resources::shown(target, api)).collect())
}

pub(super) async fn link(
    front: &ApiManagement,
    request: &AzureRequest,
    target: &Target,
    product: &str,
    api: &str,
) -> Answer {
    let service = target.service.as_str();
    match request.method {
        Method::PUT => {
            let made = front.managed.link_api(service, product, api, true).await?;
            let service = front.managed.service(service)?;
            let shown = service.apis.get(api).map(|api| api_resources::shown(target, api));
            Ok((put(made), shown.unwrap_or_default()))
        }
        Method::DELETE => {
            let gone = front.managed.link_api(service, product, api, false).await?;
            Ok((if gone { StatusCode::OK } else { StatusCode::NO_CONTENT }, Value::Null))
        }
        Method::HEAD => {
            let linked = find(front, target, product)?.apis.contains(api);
            Ok((if linked { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

fn asked(name: &str, properties: Properties) -> Result<Product, ArmError> {
    if properties.approval_required == Some(true) {
        return Err(ArmError::unsupported("approvalRequired"));
    }
    let published = match properties.state.as_deref() {
        None | Some("notPublished") => false,
        Some("published") => true,
        Some(other) => {
            return Err(ArmError::invalid(format!("state must be published or notPublished, found {other}")));
        }
    };
    Ok(Product {
        name: name.to_owned(),
        display_name: properties.display_name.unwrap_or_else(|| name.to_owned()),
        description: properties.description.unwrap_or_default(),
        subscription_required: properties.subscription_required.unwrap_or(true),
        published,
        ..Product::default()
    })
}

fn find(front: &ApiManagement, target: &Target, name: &str) -> Result<Product, ArmError> {
    let service = front.managed.service(&target.service)?;
    let unknown = || GatewayError::NotFound { kind: "product", name: name.to_owned() };
    Ok(service.products.get(name).cloned().ok_or_else(unknown)?)
}

fn shown(target: &Target, product: &Product) -> Value {
    let properties = json!({
        "displayName": product.display_name,
        "description": product.description,
        "subscriptionRequired": product.subscription_required,
        "approvalRequired": false,
        "state": if product.published { "published" } else { "notPublished" },
    });
    target.resource(&format!("products/{}", product.name), "products", properties)
}
