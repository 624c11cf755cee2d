// Records of delivery streams that a function changes, under the names of Amazon.Lambda.KinesisFirehoseEvents. What a handler
// writes is sent as it is named here, so names of answers are in lower case on the wire.
using System;
using System.Collections.Generic;
using System.Text;
using System.Text.Json.Serialization;

namespace Amazon.Lambda.KinesisFirehoseEvents
{
    public class KinesisFirehoseEvent
    {
        public string InvocationId { get; set; }
        public string DeliveryStreamArn { get; set; }
        public string Region { get; set; }
        public IList<FirehoseRecord> Records { get; set; }

        public class FirehoseRecord
        {
            public string RecordId { get; set; }

            [JsonPropertyName("data")]
            public string Base64EncodedData { get; set; }

            [JsonPropertyName("approximateArrivalTimestamp")]
            public long ApproximateArrivalEpoch { get; set; }

            public string DecodeData() => Encoding.UTF8.GetString(Convert.FromBase64String(Base64EncodedData));
        }
    }

    public class KinesisFirehoseResponse
    {
        public const string TRANSFORMED_STATE_OK = "Ok";
        public const string TRANSFORMED_STATE_DROPPED = "Dropped";
        public const string TRANSFORMED_STATE_PROCESSINGFAILED = "ProcessingFailed";

        [JsonPropertyName("records")]
        public IList<FirehoseRecord> Records { get; set; }

        public class FirehoseRecord
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
