//! Every resource of a node as data: a named, typed, versioned definition, durable and watched.
//!
//! SDK calls, the pipeline file and the console write the same definitions through [`Catalog`]; engines follow them
//! through [`Collection::watch`]. Holds no behaviour of any resource.
//! Read next: [`definition`] (what there is), [`collection`] (how it is kept).

pub mod collection;
pub mod definition;
mod error;
pub mod pipeline;

pub use collection::{Catalog, Collection};
pub use definition::*;
pub use error::CatalogError;
