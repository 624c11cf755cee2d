//! A stage's `methodSettings`: throttling by method, or `*/*` for all methods that are not named.

use millstream_catalog::{Stage, Throttle};
use millstream_gateway::StageChange;
use serde_json::{Map, Value, json};

use super::bad_request;
use super::patch::{self, PatchOperation};
use crate::json_protocol::ServiceError;

/// What a method's throttle is before its numbers are set: the account's own default.
const DEFAULT: Throttle = Throttle { rate_thousandths: 10_000_000, burst: 5_000 };

/// Settings that this node has in no other value.
const FIXED: [(&str, &str); 4] = [
    ("logging/loglevel", "OFF"),
    ("logging/dataTrace", "false"),
    ("caching/enabled", "false"),
    ("metrics/enabled", "true"),
];

/// Carries out `/METHOD/throttling/rateLimit`, `/METHOD/throttling/burstLimit` or the removal of `/METHOD`; -1 takes a limit away.
pub(super) fn apply(
    operation: &PatchOperation,
    known: Option<&Stage>,
    change: &mut StageChange,
) -> Result<(), ServiceError> {
    let PatchOperation { op, path, .. } = operation;
    let refused = || bad_request(format!("the patch operation {op} {path} is not supported by this node"));
    let rest = path.strip_prefix('/').ok_or_else(refused)?;
    if op == "remove" {
        let method = patch::method(rest).ok_or_else(refused)?;
        change.throttles.insert(method, None);
        return Ok(());
    }
    let setting = rest.rmatch_indices('/').nth(1).map(|(at, _)| (&rest[..at], &rest[at + 1..]));
    let (method, setting) = setting.filter(|_| op == "replace").ok_or_else(refused)?;
    let method = patch::method(method).ok_or_else(refused)?;
    if FIXED.contains(&(setting, operation.value.as_deref().unwrap_or_default())) {
        return Ok(());
    }
    let before = change.throttles.get(&method).copied().flatten();
    let before = before.or_else(|| known.and_then(|stage| stage.throttles.get(&method).copied())).unwrap_or(DEFAULT);
    if operation.value.as_deref() == Some("-1") && setting.starts_with("throttling/") {
        change.throttles.insert(method, None);
        return Ok(());
    }
    let wrong = || bad_request(format!("Invalid value for {path}: {}", operation.value.as_deref().unwrap_or_default()));
    let throttle = match setting {
        "throttling/rateLimit" => {
            let rate = operation.parsed().map_err(bad_request)?;
            Throttle::new(rate, before.burst).ok_or_else(wrong)?
        }
        "throttling/burstLimit" => Throttle { burst: operation.parsed().map_err(bad_request)?, ..before },
        _ => return Err(refused()),
    };
    change.throttles.insert(method, Some(throttle));
    Ok(())
}

/// The settings as a stage shows them: by `*/*`, or by the resource's path in a pointer's spelling and the method.
pub(super) fn shown(stage: &Stage) -> Value {
    let setting = |(method, throttle): (&String, &Throttle)| {
        let name = match method.rsplit_once('/') {
            Some((resource, verb)) if resource != "*" => format!("{}/{verb}", resource.replace('/', "~1")),
            _ => method.clone(),
        };
        let settings = json!({
            "throttlingRateLimit": throttle.rate(),
            "throttlingBurstLimit": throttle.burst,
            "metricsEnabled": true,
            "loggingLevel": "OFF",
            "dataTraceEnabled": false,
            "cachingEnabled": false,
        });
        (name, settings)
    };
    Value::Object(stage.throttles.iter().map(setting).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(operations: &[(&str, &str, &str)]) -> Result<StageChange, ServiceError> {
        let mut change = StageChange::default();
        for (op, path, value) in operations {
            let value = (!value.is_empty()).then(|| (*value).to_owned());
            apply(&PatchOperation { op: (*op).to_owned(), path: (*path).to_owned(), value }, None, &mut change)?;
        }
        Ok(change)
    }

    #[test]
    fn throttles_of_methods_are_set_and_removed() {
        let change = applied(&[
            ("replace", "/*/*/throttling/rateLimit", "100"),
            ("replace", "/*/*/throttling/burstLimit", "50"),
            ("replace", "/~1orders/GET/throttling/rateLimit", "0.5"),
            ("replace", "/~1orders/PUT/throttling/rateLimit", "-1"),
            ("replace", "/*/*/logging/loglevel", "OFF"),
            ("remove", "/~1orders/POST", ""),
        ])
        .unwrap();
        assert_eq!(change.throttles["*/*"], Throttle::new(100.0, 50));
        assert_eq!(change.throttles["/orders/GET"], Throttle::new(0.5, 5_000));
        assert_eq!((change.throttles["/orders/PUT"], change.throttles["/orders/POST"]), (None, None));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for operation in [
            ("replace", "/*/*/throttling/rateLimit", "-2"),
            ("replace", "/*/*/throttling/burstLimit", "x"),
            ("replace", "/*/*/caching/enabled", "true"),
            ("replace", "/tracingEnabled", "true"),
            ("add", "/*/*/throttling/rateLimit", "1"),
            ("replace", "", ""),
        ] {
            assert!(applied(&[operation]).is_err(), "{operation:?}");
        }
    }
}
