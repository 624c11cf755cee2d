//! Buffering and sinks: records to objects.
