//! Packages, runtimes and invocations.
