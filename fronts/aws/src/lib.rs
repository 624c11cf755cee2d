//! The AWS wire protocols, one folder a service.
