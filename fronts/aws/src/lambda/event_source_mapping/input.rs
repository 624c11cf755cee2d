//! The members of a request that makes or changes a mapping. What this node does not have is refused by its name.

use millstream_catalog::MappingSettings;
use serde::Deserialize;
use serde_json::Value;

use super::super::create_function::unsupported;
use super::super::error::typed;
use super::source;
use crate::json_protocol::{Constraints, ServiceError};

/// Ages of records below this one are refused, as the service does, but for -1.
const RECORD_AGE_SECONDS_MIN: i64 = 60;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Input {
    pub(super) event_source_arn: Option<String>,
    pub(super) function_name: Option<String>,
    pub(super) enabled: Option<bool>,
    batch_size: Option<i64>,
    filter_criteria: Option<FilterCriteria>,
    maximum_batching_window_in_seconds: Option<i64>,
    parallelization_factor: Option<i64>,
    pub(super) starting_position: Option<String>,
    pub(super) starting_position_timestamp: Option<f64>,
    destination_config: Option<DestinationConfig>,
    maximum_record_age_in_seconds: Option<i64>,
    bisect_batch_on_function_error: Option<bool>,
    maximum_retry_attempts: Option<i64>,
    tumbling_window_in_seconds: Option<i64>,
    function_response_types: Option<Vec<String>>,
    scaling_config: Option<ScalingConfig>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<Value>,
    metrics_config: Option<Value>,
    logging_config: Option<Value>,
    tags: Option<Value>,
    topics: Option<Value>,
    queues: Option<Value>,
    source_access_configurations: Option<Value>,
    self_managed_event_source: Option<Value>,
    amazon_managed_kafka_event_source_config: Option<Value>,
    self_managed_kafka_event_source_config: Option<Value>,
    #[serde(rename = "DocumentDBEventSourceConfig")]
    document_db_event_source_config: Option<Value>,
    provisioned_poller_config: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct FilterCriteria {
    filters: Option<Vec<Filter>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filter {
    pattern: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DestinationConfig {
    on_success: Option<Destination>,
    on_failure: Option<Destination>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    destination: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ScalingConfig {
    maximum_concurrency: Option<i64>,
}

impl Input {
    /// Checks what can be said of the members one by one.
    pub(super) fn check(&self) -> Result<(), ServiceError> {
        let concurrency = self.scaling_config.as_ref().and_then(|config| config.maximum_concurrency);
        let mut constraints = Constraints::new();
        constraints
            .length("functionName", self.function_name.as_deref(), 1, 256)
            .range("batchSize", self.batch_size, 1, 10_000)
            .range("maximumBatchingWindowInSeconds", self.maximum_batching_window_in_seconds, 0, 300)
            .range("parallelizationFactor", self.parallelization_factor, 1, 10)
            .range("maximumRecordAgeInSeconds", self.maximum_record_age_in_seconds, -1, 604_800)
            .range("maximumRetryAttempts", self.maximum_retry_attempts, -1, 10_000)
            .range("tumblingWindowInSeconds", self.tumbling_window_in_seconds, 0, 900)
            .range("scalingConfig.maximumConcurrency", concurrency, 2, 1_000);
        for kind in self.function_response_types.iter().flatten() {
            constraints.one_of("functionResponseTypes", Some(kind), &["ReportBatchItemFailures"]);
        }
        constraints.finish()?;
        self.refuse_unsupported()
    }

    fn refuse_unsupported(&self) -> Result<(), ServiceError> {
        let given = [
            ("KMSKeyArn", self.kms_key_arn.is_some()),
            ("MetricsConfig", self.metrics_config.is_some()),
            ("LoggingConfig", self.logging_config.is_some()),
            ("Tags", self.tags.is_some()),
            ("Topics", self.topics.is_some()),
            ("Queues", self.queues.is_some()),
            ("SourceAccessConfigurations", self.source_access_configurations.is_some()),
            ("SelfManagedEventSource", self.self_managed_event_source.is_some()),
            ("AmazonManagedKafkaEventSourceConfig", self.amazon_managed_kafka_event_source_config.is_some()),
            ("SelfManagedKafkaEventSourceConfig", self.self_managed_kafka_event_source_config.is_some()),
            ("DocumentDBEventSourceConfig", self.document_db_event_source_config.is_some()),
            ("ProvisionedPollerConfig", self.provisioned_poller_config.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((member, _)) => Err(unsupported(member)),
            None => Ok(()),
        }
    }

    /// Puts what is said into a mapping's settings.
    pub(super) fn apply(&self, settings: &mut MappingSettings) -> Result<(), ServiceError> {
        let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
        let put = |setting: &mut u32, value| *setting = number(value).unwrap_or(*setting);
        put(&mut settings.batch_size, self.batch_size);
        put(&mut settings.window_seconds, self.maximum_batching_window_in_seconds);
        put(&mut settings.parallelization, self.parallelization_factor);
        // -1 stands for no limit.
        if self.maximum_retry_attempts.is_some() {
            settings.retries_max = number(self.maximum_retry_attempts);
        }
        if let Some(age) = self.maximum_record_age_in_seconds {
            if (0..RECORD_AGE_SECONDS_MIN).contains(&age) {
                let message = format!(
                    "MaximumRecordAgeInSeconds must be -1 or at least {RECORD_AGE_SECONDS_MIN} seconds, found {age}."
                );
                return Err(typed(400, "InvalidParameterValueException", message));
            }
            settings.record_age_max_seconds = number(Some(age));
        }
        if self.tumbling_window_in_seconds.is_some() {
            // 0 stands for none.
            settings.tumbling_window_seconds = number(self.tumbling_window_in_seconds).filter(|seconds| *seconds > 0);
        }
        settings.bisect = self.bisect_batch_on_function_error.unwrap_or(settings.bisect);
        if let Some(kinds) = &self.function_response_types {
            settings.reports_failures = !kinds.is_empty();
        }
        if let Some(criteria) = &self.filter_criteria {
            let pattern = |filter: &Filter| {
                let missing = "Invalid filter pattern definition: a filter needs a Pattern.";
                filter.pattern.clone().ok_or_else(|| typed(400, "InvalidParameterValueException", missing.to_owned()))
            };
            settings.filters = criteria.filters.iter().flatten().map(pattern).collect::<Result<_, _>>()?;
        }
        if let Some(config) = &self.scaling_config {
            settings.concurrency_max = number(config.maximum_concurrency);
        }
        self.apply_destination(settings)
    }

    fn apply_destination(&self, settings: &mut MappingSettings) -> Result<(), ServiceError> {
        let Some(config) = &self.destination_config else { return Ok(()) };
        let named = |destination: &Option<Destination>| {
            let arn = destination.as_ref().and_then(|destination| destination.destination.clone());
            arn.filter(|arn| !arn.is_empty())
        };
        if named(&config.on_success).is_some() {
            return Err(unsupported("DestinationConfig.OnSuccess of an event source mapping"));
        }
        settings.on_failure = named(&config.on_failure).map(|arn| source::read_target(&arn)).transpose()?;
        Ok(())
    }
}
