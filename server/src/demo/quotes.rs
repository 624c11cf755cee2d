//! The function of the example `paid-api`: prices of shares, and what some of them are worth. Gets the whole request of an
//! API and answers the same whenever it is asked.

use serde_json::{Value, json};

/// Symbols with their prices, in cents.
const CENTS: [(&str, i64); 5] =
    [("AMZN", 18_620), ("GOOG", 17_130), ("MSFT", 41_250), ("NVDA", 12_905), ("TSLA", 24_410)];

/// Answers a request of the API.
pub fn answer(event: &Value) -> Value {
    let (status, body) = match event.get("resource").and_then(Value::as_str).unwrap_or_default() {
        "/quotes" => (200, json!({ "symbols": CENTS.map(|(symbol, _)| symbol) })),
        "/quotes/{symbol}" => quote(event),
        _ => valuation(event),
    };
    let headers = json!({ "content-type": "application/json" });
    json!({ "statusCode": status, "headers": headers, "body": body.to_string() })
}

fn quote(event: &Value) -> (u16, Value) {
    let symbol = event.pointer("/pathParameters/symbol").and_then(Value::as_str).unwrap_or_default().to_uppercase();
    match cents(&symbol) {
        Some(cents) => (200, json!({ "symbol": symbol, "price": units(cents), "currency": "USD" })),
        None => (404, json!({ "message": format!("there is no quote of {symbol}") })),
    }
}

fn valuation(event: &Value) -> (u16, Value) {
    let body: Value =
        event.get("body").and_then(Value::as_str).and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let worth = |position: &Value| {
        let cents = cents(&position.get("symbol")?.as_str()?.to_uppercase())?;
        cents.checked_mul(position.get("shares")?.as_i64().filter(|shares| (1..=1_000_000).contains(shares))?)
    };
    let positions = body.get("positions").and_then(Value::as_array);
    let sum = positions.and_then(|positions| positions.iter().map(worth).sum::<Option<i64>>());
    match sum {
        Some(cents) => (200, json!({ "value": units(cents), "currency": "USD" })),
        None => (400, json!({ "message": "expected positions, each with a known symbol and 1 to 1000000 shares" })),
    }
}

fn cents(symbol: &str) -> Option<i64> {
    CENTS.iter().find(|(known, _)| *known == symbol).map(|(_, cents)| *cents)
}

fn units(cents: i64) -> f64 {
    cents as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(event: &Value) -> (i64, Value) {
        let answer = answer(event);
        (answer["statusCode"].as_i64().unwrap(), serde_json::from_str(answer["body"].as_str().unwrap()).unwrap())
    }

    #[test]
    fn quotes_and_valuations_are_answered() {
        let quote =
            |symbol: &str| asked(&json!({ "resource": "/quotes/{symbol}", "pathParameters": { "symbol": symbol } }));
        assert_eq!(quote("msft"), (200, json!({ "symbol": "MSFT", "price": 412.5, "currency": "USD" })));
        assert_eq!(quote("x").0, 404);
        let valued = |body: &str| asked(&json!({ "resource": "/valuations", "body": body }));
        let positions = r#"{"positions": [{"symbol": "MSFT", "shares": 2}, {"symbol": "AMZN", "shares": 1}]}"#;
        assert_eq!(valued(positions), (200, json!({ "value": 1011.2, "currency": "USD" })));
        for body in [
            "",
            "{}",
            "[]",
            r#"{"positions": [{"symbol": "MSFT"}]}"#,
            r#"{"positions": [{"symbol": "MSFT", "shares": -1}]}"#,
        ] {
            assert_eq!(valued(body).0, 400, "{body}");
        }
        assert_eq!(asked(&json!({ "resource": "/quotes" })).0, 200);
    }
}
