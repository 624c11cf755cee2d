//! The port through which other engines hand events over and do not wait.

use millstream_types::{BoxFuture, Invocation, InvocationId, InvokeError, InvokeLater};

use crate::engine::Functions;

impl InvokeLater for Functions {
    fn invoke_later(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationId, InvokeError>> {
        Box::pin(async move {
            let accepted = self.enqueue(invocation).await;
            accepted.map_err(|error| InvokeError { kind: error.kind(), message: error.to_string() })
        })
    }
}
