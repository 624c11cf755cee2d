//! The query engine from outside: documented examples of both languages, exact error texts, robustness.

mod conformance;
mod mistakes;
mod reference;
mod robustness;
mod scalar;
