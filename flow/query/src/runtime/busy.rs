//! Work for threads that may be busy: what would hold up others on an async worker.

use tokio::task::JoinError;

use super::error::QueryError;

/// Runs it. A panic in it is the query's error, not its silence.
pub(super) async fn busy<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, QueryError> {
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

fn failed(error: JoinError) -> QueryError {
    if !error.is_panic() {
        return QueryError::Stopping;
    }
    let panic = error.into_panic();
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    QueryError::Defect(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_as_an_error() {
        assert_eq!(busy(|| 5).await.unwrap(), 5);
        let error = busy(|| -> i32 { panic!("offset {} overflows", 7) }).await.unwrap_err();
        assert!(matches!(&error, QueryError::Defect(text) if text == "offset 7 overflows"), "{error}");
    }
}
