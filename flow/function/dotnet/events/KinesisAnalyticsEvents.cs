// Rows of queries and records on their way into one, under the names of Amazon.Lambda.KinesisAnalyticsEvents. What a handler
// writes is sent as it is named here, so names of answers are in lower case on the wire.
using System;
using System.Collections.Generic;
using System.Text;
using System.Text.Json.Serialization;

namespace Amazon.Lambda.KinesisAnalyticsEvents
{
    public class KinesisAnalyticsOutputDeliveryEvent
    {
        public string InvocationId { get; set; }
        public string ApplicationArn { get; set; }
        public IList<LambdaDeliveryRecord> Records { get; set; }

        public class LambdaDeliveryRecord
        {
            public string RecordId { get; set; }

            [JsonPropertyName("data")]
            public string Base64EncodedData { get; set; }

            [JsonPropertyName("lambdaDeliveryRecordMetadata")]
            public LambdaDeliveryRecordMetadata RecordMetadata { get; set; }

            public string DecodeData() => Encoding.UTF8.GetString(Convert.FromBase64String(Base64EncodedData));
        }

        public class LambdaDeliveryRecordMetadata
        {
            public long RetryHint { get; set; }
        }
    }

    public class KinesisAnalyticsOutputDeliveryResponse
    {
        public const string OK = "Ok";
        public const string DELIVERYFAILED = "DeliveryFailed";

        [JsonPropertyName("records")]
        public IList<Record> Records { get; set; }

        public class Record
        {
            [JsonPropertyName("recordId")]
            public string RecordId { get; set; }

            [JsonPropertyName("result")]
            public string Result { get; set; }
        }
    }

    public class KinesisAnalyticsStreamsInputPreprocessingEvent
    {
        public string InvocationId { get; set; }
        public string ApplicationArn { get; set; }
        public string StreamArn { get; set; }
        public IList<StreamsRecord> Records { get; set; }

        public class StreamsRecord
        {
            public string RecordId { get; set; }

            [JsonPropertyName("kinesisStreamRecordMetadata")]
            public StreamsRecordMetadata RecordMetadata { get; set; }

            [JsonPropertyName("data")]
            public string Base64EncodedData { get; set; }

            public string DecodeData() => Encoding.UTF8.GetString(Convert.FromBase64String(Base64EncodedData));
        }

        public class StreamsRecordMetadata
        {
            public string SequenceNumber { get; set; }
            public string PartitionKey { get; set; }
            public string ShardId { get; set; }

            [JsonPropertyName("approximateArrivalTimestamp")]
            public long ApproximateArrivalEpoch { get; set; }
        }
    }

    public class KinesisAnalyticsInputPreprocessingResponse
    {
        public const string OK = "Ok";
        public const string DROPPED = "Dropped";
        public const string PROCESSINGFAILED = "ProcessingFailed";

        [JsonPropertyName("records")]
        public IList<Record> Records { get; set; }

        public class Record
        {
            [JsonPropertyName("recordId")]
            public string RecordId { get; set; }

            [JsonPropertyName("result")]
            public string Result { get; set; }

            [JsonPropertyName("data")]
            public string Base64EncodedData { get; set; }

            public void EncodeData(string data) => Base64EncodedData = Convert.ToBase64String(Encoding.UTF8.GetBytes(data));
        }
    }
}
