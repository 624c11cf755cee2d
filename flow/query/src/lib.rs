//! Continuous SQL: dialects, plan, windows, watermarks and checkpoints.
