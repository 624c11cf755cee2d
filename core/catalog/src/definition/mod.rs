//! What a resource of each kind is. Stored as JSON; a field that is added later has a default, a change of meaning gets a
//! new name, so that a folder written by an older version stays readable.

mod access_key;
mod api;
mod delivery_stream;
mod function;
mod managed_service;
mod query;
mod stream;
mod table;

pub use access_key::AccessKeyDefinition;
pub use api::{
    ApiDefinition, Deployment, Integration, IntegrationResponse, Method, MethodResponse, RequestValidator, Resource,
    Stage,
};
pub use delivery_stream::{Compression, DeliverySource, DeliveryStreamDefinition, ObjectDestination};
pub use function::FunctionDefinition;
pub use managed_service::{
    ManagedApi, ManagedOperation, ManagedServiceDefinition, Product, Subscription, SubscriptionScope, SubscriptionState,
};
pub use query::{
    ColumnDefinition, ColumnType, DesiredState, EventOrder, OrderPolicy, OutputTarget, QueryDefinition, QueryDialect,
    QueryInput, QueryOutput, RecordFormat, StartAt,
};
pub use stream::{HashKeyRange, ShardDefinition, StreamDefinition, StreamOwner};
pub use table::{KeyAttribute, KeyType, TableDefinition};
