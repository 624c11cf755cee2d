//! Logs, metrics and each record's trail.
