//! The demo: the stock-trades example, embedded, with a producer of trades and a summary in the terminal.

pub mod example;
pub mod functions;
pub mod producer;
pub mod summary;
pub mod trades;
