//! The query engine from outside: documented examples of both languages, exact error texts, robustness.

#![allow(clippy::unwrap_used)]

mod anomalies;
mod bounds;
mod conformance;
mod delivery;
mod editing;
mod error_stream;
mod inputs;
mod invariance;
mod join_invariance;
mod join_mistakes;
mod kinesis_mistakes;
mod large_results;
mod large_state;
mod listing;
mod looking_back;
mod mistakes;
mod models;
mod naive;
mod naive_join;
mod naive_pattern;
mod naive_sort;
mod partitions;
mod pattern_invariance;
mod pattern_mistakes;
mod reference;
mod reference_data;
mod robustness;
mod scalar;
mod standard_mistakes;
mod translation;
mod user_defined;
mod values;
mod window_kinds;
mod world;
