//! Changes that go on when their callers go away.

use std::panic::resume_unwind;
use std::pin::Pin;

/// Carries a change out to its end even when its caller goes away, as it does when a client hangs up: cut off between its
/// commit and what memory holds of it, both would be at odds until the next start. Needs a tokio runtime.
pub fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    // Boxed, since all that a task is made of is compiled anew for each type of future: there are more than a hundred changes.
    carried_out(Box::pin(change))
}

async fn carried_out<T: Send + 'static>(change: Pin<Box<dyn Future<Output = T> + Send>>) -> T {
    match tokio::spawn(change).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_change_ends_without_its_caller() {
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let caller = tokio::spawn(to_the_end(async move {
            let _ = gone.await;
            let _ = tell.send("done");
        }));
        tokio::task::yield_now().await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        assert_eq!(told.await, Ok("done"));
    }

    #[tokio::test]
    async fn a_panic_is_the_callers() {
        let broken = tokio::spawn(to_the_end(async { panic!("a defect") })).await;
        assert!(broken.unwrap_err().is_panic());
    }
}
