//! Items, keys, conditions and change records.
