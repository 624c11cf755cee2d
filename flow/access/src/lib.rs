//! Principals and access keys: who may do what.
