//! Applications and their parts as answers show them.

use millstream_catalog::{
    InputProcessor, OutputTarget, QueryDefinition, QueryErrorLog, QueryInput, QueryOutput, RecordFormat,
    ReferenceInput, StartAt,
};
use serde_json::{Value, json};

use super::input::prefix_and_count;
use super::reference::BUCKET;
use super::{KinesisAnalytics, part_id, schema};

/// An application to be shown. Where a part's role is the application's own it is not shown beside the part.
pub(super) struct Shown<'a> {
    pub(super) front: &'a KinesisAnalytics,
    pub(super) query: &'a QueryDefinition,
    /// Empty where parts show their roles, whatever they are.
    pub(super) own_role: &'a str,
}

/// `ApplicationDetail` of the API of 2015.
pub(super) fn detail(front: &KinesisAnalytics, query: &QueryDefinition) -> Value {
    let shown = Shown { front, query, own_role: "" };
    json!({
        "ApplicationName": query.name,
        "ApplicationDescription": query.description,
        "ApplicationARN": front.arn(&query.name),
        "ApplicationStatus": front.status(&query.name),
        "CreateTimestamp": seconds(query.created),
        "LastUpdateTimestamp": seconds(query.modified),
        "InputDescriptions": shown.inputs(),
        "OutputDescriptions": shown.outputs(),
        "ReferenceDataSourceDescriptions": shown.references(),
        "CloudWatchLoggingOptionDescriptions": shown.logging_options(),
        "ApplicationCode": query.sql,
        "ApplicationVersionId": query.version,
    })
}

/// A time as answers say it.
pub(super) fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

impl Shown<'_> {
    /// `InputDescriptions`
    pub(super) fn inputs(&self) -> Value {
        self.query.inputs.iter().enumerate().map(|(index, input)| self.input(index, input)).collect()
    }

    /// `OutputDescriptions`
    pub(super) fn outputs(&self) -> Value {
        self.query.outputs.iter().enumerate().map(|(index, output)| self.output(index, output)).collect()
    }

    /// `ReferenceDataSourceDescriptions`
    pub(super) fn references(&self) -> Value {
        self.query.references.iter().enumerate().map(|(index, source)| self.reference(index, source)).collect()
    }

    /// `CloudWatchLoggingOptionDescriptions`
    pub(super) fn logging_options(&self) -> Value {
        let log = self.query.resource.as_ref().and_then(|resource| resource.error_log.as_ref());
        log.iter().map(|log| self.logging_option(log)).collect()
    }

    /// `InputProcessingConfigurationDescription`
    pub(super) fn processing(&self, processor: &InputProcessor) -> Value {
        let arn = self.front.place.arn("lambda", &format!("function:{}", processor.function));
        json!({ "InputLambdaProcessorDescription": self.resource(&arn, &processor.role) })
    }

    fn logging_option(&self, log: &QueryErrorLog) -> Value {
        let stream = format!("log-group:{}:log-stream:{}", log.group, log.stream);
        let arn = self.front.place.arn("logs", &stream);
        let mut shown = json!({ "CloudWatchLoggingOptionId": part_id(0), "LogStreamARN": arn });
        self.with_role(&mut shown, "RoleARN", &log.role);
        shown
    }

    fn reference(&self, index: usize, source: &ReferenceInput) -> Value {
        let mut object = json!({ "BucketARN": format!("{BUCKET}{}", source.bucket), "FileKey": source.key });
        self.with_role(&mut object, "ReferenceRoleARN", &source.role);
        json!({
            "ReferenceId": part_id(index),
            "TableName": source.name,
            "S3ReferenceDataSourceDescription": object,
            "ReferenceSchema": schema::described(&source.format, &source.columns, ""),
        })
    }

    fn input(&self, index: usize, input: &QueryInput) -> Value {
        let place = &self.front.place;
        let (member, arn) = match input.stream.strip_prefix("delivery/") {
            Some(name) => ("KinesisFirehoseInputDescription", place.arn("firehose", &format!("deliverystream/{name}"))),
            None => ("KinesisStreamsInputDescription", place.arn("kinesis", &format!("stream/{}", input.stream))),
        };
        let position = starting_position(self.query.start_at);
        let (prefix, count) = prefix_and_count(input);
        let names: Vec<String> = input.streams().into_iter().map(|stream| stream.name).collect();
        let mut shown = json!({
            "InputStartingPositionConfiguration": { "InputStartingPosition": position },
            "InputId": part_id(index),
            "NamePrefix": prefix,
            "InAppStreamNames": names,
            "InputSchema": schema::described(&input.format, &input.columns, &input.row_path),
            "InputParallelism": { "Count": count },
        });
        shown[member] = self.resource(&arn, &input.role);
        if let Some(processor) = &input.processor {
            shown["InputProcessingConfigurationDescription"] = self.processing(processor);
        }
        shown
    }

    fn output(&self, index: usize, output: &QueryOutput) -> Value {
        let format = if output.format == RecordFormat::Json { "JSON" } else { "CSV" };
        let place = &self.front.place;
        let mut shown = json!({
            "OutputId": part_id(index),
            "Name": output.name,
            "DestinationSchema": { "RecordFormatType": format },
        });
        let (member, arn) = match &output.target {
            OutputTarget::Function { name } => {
                ("LambdaOutputDescription", place.arn("lambda", &format!("function:{name}")))
            }
            OutputTarget::Stream { name } => match name.strip_prefix("delivery/") {
                Some(name) => {
                    ("KinesisFirehoseOutputDescription", place.arn("firehose", &format!("deliverystream/{name}")))
                }
                None => ("KinesisStreamsOutputDescription", place.arn("kinesis", &format!("stream/{name}"))),
            },
            OutputTarget::Keep | OutputTarget::Objects(_) | OutputTarget::Documents(_) => return shown,
        };
        shown[member] = self.resource(&arn, &output.role);
        shown
    }

    /// What a resource is named by.
    fn resource(&self, arn: &str, role: &str) -> Value {
        let mut shown = json!({ "ResourceARN": arn });
        self.with_role(&mut shown, "RoleARN", role);
        shown
    }

    /// The role is left out when none was given, or the application's.
    fn with_role(&self, shown: &mut Value, member: &str, role: &str) {
        if !role.is_empty() && role != self.own_role {
            shown[member] = json!(role);
        }
    }
}

fn starting_position(start_at: StartAt) -> &'static str {
    match start_at {
        StartAt::Latest => "NOW",
        StartAt::TrimHorizon => "TRIM_HORIZON",
        StartAt::LastStopped | StartAt::Time(_) => "LAST_STOPPED_POINT",
    }
}
