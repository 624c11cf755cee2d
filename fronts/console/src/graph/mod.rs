//! The pipeline as a graph: what is connected with what, read from the definitions, and where each stage is drawn.
//! Read next: [`model`] (nodes and edges), [`layout`] (columns and rows).

pub mod layout;
pub mod model;
mod route;

pub use layout::Direction;
pub use model::{Kind, Node, Pipeline};
