//! The Azure wire protocols: decode, call an engine, encode. One folder a service, a file an operation.
//!
//! Holds no behaviour and keeps nothing. Read next: [`front`] (how a request finds its service), [`services`].

pub mod apimanagement;
pub mod blob;
pub mod cosmos;
pub mod eventgrid;
pub mod eventhubs;
mod foreign;
pub mod front;
pub mod queue;
pub mod request;
mod resource_manager;
pub mod services;
mod signing;
mod storage;
pub mod streamanalytics;
mod time;
