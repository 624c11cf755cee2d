//! `GetAccountSettings`

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use super::Lambda;
use crate::rest_protocol::document;

/// The service's limits of packages, bytes: zipped when sent, unpacked, all of an account.
const ZIPPED_BYTES: u64 = 50 << 20;
const UNPACKED_BYTES: u64 = 250 << 20;
const TOTAL_BYTES: u64 = 75 << 30;

pub(super) fn get(lambda: &Lambda) -> Response<Bytes> {
    let functions = lambda.functions.list();
    let reserved: u64 = functions.iter().filter_map(|function| function.concurrency_limit).map(u64::from).sum();
    let limit = lambda.functions.concurrency_max() as u64;
    let used: u64 = functions.iter().map(|function| function.code_bytes).sum();
    let settings = json!({
        "AccountLimit": {
            "TotalCodeSize": TOTAL_BYTES,
            "CodeSizeUnzipped": UNPACKED_BYTES,
            "CodeSizeZipped": ZIPPED_BYTES,
            "ConcurrentExecutions": limit,
            "UnreservedConcurrentExecutions": limit.saturating_sub(reserved),
        },
        "AccountUsage": { "TotalCodeSize": used, "FunctionCount": functions.len() },
    });
    document(StatusCode::OK, &settings)
}
