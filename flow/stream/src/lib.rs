//! Shards, sequence numbers, iterators and retention: the spine.
