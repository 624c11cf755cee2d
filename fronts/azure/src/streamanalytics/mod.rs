//! Stream Analytics over the query engine.

mod codec;

pub use codec::FunctionOutputCodec;
