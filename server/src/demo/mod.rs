//! The demo: the stock-trades example, embedded, with a producer of trades and a summary in the terminal; and the example of
//! an API that earns money, to be looked at in its portal.

pub mod example;
pub mod functions;
pub mod producer;
pub mod quotes;
pub mod summary;
pub mod trades;
