//! The demos: the stock-trades examples, embedded, with a producer of trades and a summary in the terminal; the tweets example
//! and the one of orders as events with their own; and the example of an API that earns money, to be looked at in its portal.

pub mod example;
pub mod functions;
pub mod orders;
pub mod producer;
pub mod quotes;
pub mod summary;
pub mod trades;
pub mod tweets;
