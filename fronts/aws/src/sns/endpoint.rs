//! Endpoints of subscriptions as the service names them: a protocol and an address. Pure.

use millstream_catalog::EventEndpoint;

use super::error;
use crate::json_protocol::ServiceError;
use crate::place::{Place, resource};

/// The stream that a delivery stream takes records from.
const DELIVERY: &str = "delivery/";

/// The endpoint that a protocol and an address name.
pub(super) fn read(protocol: &str, address: &str) -> Result<EventEndpoint, ServiceError> {
    let arn = |service: &str, kind: &str| {
        let name = resource(address, service, kind);
        let what = match service {
            "sqs" => "SQS endpoint ARN",
            "lambda" => "Lambda endpoint ARN",
            _ => "Delivery Stream endpoint ARN",
        };
        name.map(str::to_owned).ok_or_else(|| error::invalid(what))
    };
    match protocol {
        "http" | "https" if address.starts_with(&format!("{protocol}://")) => {
            Ok(EventEndpoint::Webhook { url: address.to_owned() })
        }
        "http" | "https" => Err(error::invalid_because("Endpoint", "Endpoint must match the specified protocol")),
        "sqs" => Ok(EventEndpoint::Queue { name: arn("sqs", "")? }),
        "lambda" => {
            let function = arn("lambda", "function:")?;
            let name = function.strip_suffix(":$LATEST").unwrap_or(&function).to_owned();
            Ok(EventEndpoint::Function { name })
        }
        "firehose" => Ok(EventEndpoint::Stream { name: format!("{DELIVERY}{}", arn("firehose", "deliverystream/")?) }),
        "email" | "email-json" | "sms" | "application" => Err(error::unsupported(&format!("the protocol {protocol}"))),
        _ => Err(error::invalid_because("Protocol", "the protocols are http, https, sqs, lambda and firehose")),
    }
}

/// The protocol of an endpoint.
pub(super) fn protocol(endpoint: &EventEndpoint) -> &'static str {
    match endpoint {
        EventEndpoint::Webhook { url } if url.starts_with("https://") => "https",
        EventEndpoint::Webhook { .. } => "http",
        EventEndpoint::Queue { .. } => "sqs",
        EventEndpoint::Function { .. } => "lambda",
        EventEndpoint::Stream { .. } => "firehose",
    }
}

/// The address of an endpoint.
pub(super) fn address(endpoint: &EventEndpoint, place: &Place) -> String {
    match endpoint {
        EventEndpoint::Webhook { url } => url.clone(),
        EventEndpoint::Queue { name } => place.arn("sqs", name),
        EventEndpoint::Function { name } => place.arn("lambda", &format!("function:{name}")),
        EventEndpoint::Stream { name } => {
            let name = name.strip_prefix(DELIVERY).unwrap_or(name);
            place.arn("firehose", &format!("deliverystream/{name}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_told() {
        let place = Place::new("us-east-1");
        for (kind, address) in [
            ("http", "http://a.example/hook?x=1"),
            ("https", "https://a.example/"),
            ("sqs", "arn:aws:sqs:us-east-1:000000000000:q"),
            ("lambda", "arn:aws:lambda:us-east-1:000000000000:function:f"),
            ("lambda", "arn:aws:lambda:us-east-1:000000000000:function:f:live"),
            ("firehose", "arn:aws:firehose:us-east-1:000000000000:deliverystream/d"),
        ] {
            let endpoint = read(kind, address).unwrap();
            assert_eq!((protocol(&endpoint), super::address(&endpoint, &place).as_str()), (kind, address));
        }
        for (kind, address) in
            [("https", "http://a.example/"), ("sqs", "q"), ("email", "me@a.example"), ("pigeon", "x")]
        {
            assert_eq!(read(kind, address).unwrap_err().code, "InvalidParameter", "{kind}");
        }
    }
}
