//! API Gateway's control operations: the method is the action, the path the resource.

use super::Need;
use crate::place::Place;
use crate::rest_protocol::RestRequest;

pub(super) fn need(place: &Place, request: &RestRequest) -> Need {
    let path = request.segments().join("/");
    Need::new(format!("apigateway:{}", request.method), format!("arn:aws:apigateway:{}::/{path}", place.region))
}
