//! API Gateway's control operations: the method is the action, the path the resource. Whoever gives an integration a role must
//! be allowed to pass the role on.

use http::Method;

use super::Need;
use super::members::Members;
use crate::authorize::{Authorizer, Service};
use crate::rest_protocol::RestRequest;

pub(super) fn needs(authorizer: &Authorizer, request: &RestRequest) -> Vec<Need> {
    let path = request.segments().join("/");
    let resource = format!("arn:aws:apigateway:{}::/{path}", authorizer.place.region);
    let mut needs = vec![Need::new(format!("apigateway:{}", request.method), resource)];
    if request.method == Method::PUT
        && let Some(role) = Members::read(&request.body).text("credentials").filter(|role| !role.is_empty())
    {
        needs.push(authorizer.pass_role(Service::ApiGateway, &role));
    }
    needs
}
