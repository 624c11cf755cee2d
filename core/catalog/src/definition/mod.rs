//! What a resource of each kind is. Stored as JSON; a field that is added later has a default, a change of meaning gets a
//! new name, so that a folder written by an older version stays readable.

mod access_key;
mod api;
mod api_key;
mod bucket;
mod delivery_stream;
mod document;
mod event_source_mapping;
mod event_subscription;
mod function;
mod function_version;
mod hub;
mod log_group;
mod managed_service;
mod marketplace;
mod money;
mod namespace;
mod policy;
mod portal;
mod query;
mod query_function;
mod queue;
mod role;
mod storage_account;
mod stream;
mod table;
mod throughput_commitment;
mod topic;
mod usage_plan;
mod user;

pub use access_key::AccessKeyDefinition;
pub use api::{
    ApiDefinition, Deployment, Integration, IntegrationResponse, Method, MethodResponse, RequestValidator, Resource,
    Stage,
};
pub use api_key::{ApiKeyDefinition, FormerValue};
pub use bucket::BucketDefinition;
pub use delivery_stream::{Compression, DeliverySource, DeliveryStreamDefinition, ErrorLog, ObjectDestination};
pub use document::{DocumentContainerDefinition, DocumentDatabaseDefinition, Throughput};
pub use event_source_mapping::{
    EventSource, EventSourceMappingDefinition, FailureTarget, MappingSettings, MappingStart, MappingState,
};
pub use event_subscription::{
    DeadLetterTarget, DeliveryHeader, DeliveryHeaderValue, EventBatching, EventEndpoint, EventFilter, EventRetry,
    EventSubscriptionDefinition, FieldCondition, FieldTest, MessagePattern, PatternScope, SubscriptionState,
};
pub use function::{AsyncPolicy, FunctionDefinition, InvokePermission};
pub use function_version::{ALIAS_PARTS, AliasSplit, FunctionAlias, LATEST, version_number};
pub use hub::{ConsumerGroupDefinition, HubDefinition};
pub use log_group::LogGroupDefinition;
pub use managed_service::{
    ManagedApi, ManagedBackend, ManagedOperation, ManagedServiceDefinition, ManagedSubscriptionState, ManagedUser,
    NamedValue, Product, Subscription, SubscriptionScope,
};
pub use marketplace::{MarketplaceProductDefinition, MarketplaceSubscriptionDefinition, MarketplaceSubscriptionState};
pub use money::{Money, Price};
pub use namespace::{AccessPolicyDefinition, AccessRights, NamespaceDefinition};
pub use policy::{Grants, PolicyDefinition, PolicyReference, PolicyVersion};
pub use portal::{
    PasswordHash, PortalAccountDefinition, PortalApiDefinition, PortalDefinition, PortalInvitation,
    PortalOfferDefinition, PortalRole, PortalSubscription, PortalSubscriptionState,
};
pub use query::{
    ColumnDefinition, ColumnType, DesiredState, DocumentOutput, EventOrder, InputProcessor, ObjectOutput, OrderPolicy,
    OutputHanding, OutputTarget, QueryDefinition, QueryDialect, QueryErrorLog, QueryInput, QueryOutput, QueryResource,
    RecordFormat, ReferenceInput, ReferenceVersions, StartAt,
};
pub use query_function::{QueryFunction, QueryFunctionKind, ValueType};
pub use queue::{QueueDefinition, QueueSettings, Redrive, RedriveSources};
pub use role::RoleDefinition;
pub use storage_account::StorageAccountDefinition;
pub use stream::{
    CapacityMode, HashKeyRange, RecordDistribution, ShardDefinition, StreamConsumer, StreamDefinition, StreamOwner,
    StreamSettings,
};
pub use table::{
    ChangeView, IndexProjection, IndexState, KeyAttribute, KeyType, TABLE_ITEM_BYTES_MAX, TableChanges,
    TableDefinition, TableIndex, TableOwner,
};
pub use throughput_commitment::ThroughputCommitmentDefinition;
pub use topic::{EventMapping, EventSchema, MappedField, TopicDefinition, topic_stream};
pub use usage_plan::{PlanQuota, PlanStage, QuotaPeriod, Throttle, UsagePlanDefinition};
pub use user::UserDefinition;
