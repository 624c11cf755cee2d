//! Tells whether kept state is of the plan that runs: the text without comments and blanks, what was planned from it, the
//! inputs with their columns and formats, between which streams an input is divided, the tolerances, and the form of state itself. Shards
//! are not part of it: a stream that was made anew goes on with the windows that are open.

use std::hash::BuildHasher as _;

use millstream_catalog::QueryDefinition;

use super::binding::Binding;
use crate::dialect::words;
use crate::executor::SNAPSHOT_VERSION;

/// The same for the same plan. Plans that only look different may differ, which costs reading open windows again.
pub(super) fn of_plan(binding: &Binding, definition: &QueryDefinition) -> u64 {
    let QueryDefinition { dialect, sql, event_order, .. } = definition;
    let inputs: Vec<_> = binding.inputs.iter().map(|input| (&input.name, &input.stream, &input.format)).collect();
    let words = words(*dialect, sql);
    let mut told = format!("{:?}", (SNAPSHOT_VERSION, words, &binding.program, inputs, event_order));
    // Most inputs are not, and their checkpoints stay what they were.
    for input in definition.inputs.iter().filter(|input| !input.divided.is_empty()) {
        told.push_str(&format!("{:?}", (&input.name, &input.divided)));
    }
    hash(&told)
}

/// What checkpoints of the first version keep instead.
pub(super) fn of_text(sql: &str) -> u64 {
    hash(sql)
}

fn hash(text: &str) -> u64 {
    foldhash::fast::FixedState::with_seed(0).hash_one(text)
}
