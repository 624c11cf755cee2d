// Decodes a batch of the stream and hands it, as items, to the function that saves them: `decode/index.js` in C#.
using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Threading.Tasks;
using Amazon.Lambda;
using Amazon.Lambda.Core;
using Amazon.Lambda.KinesisEvents;
using Amazon.Lambda.Model;

// Turns the function's JSON into an event of .NET.
[assembly: LambdaSerializer(typeof(Amazon.Lambda.Serialization.Json.JsonSerializer))]

namespace Tweets
{
    public class Item
    {
        public string TwitterID { get; set; }
        public string TwitterUser { get; set; }
        public string TwitterTime { get; set; }
        public string Tweet { get; set; }
        public string TweetTopic { get; set; }
    }

    public class Decode
    {
        static readonly AmazonLambdaClient Functions = new AmazonLambdaClient();

        public async Task FunctionHandler(KinesisEvent kinesisEvent, ILambdaContext context)
        {
            context.Logger.LogLine($"Beginning to process {kinesisEvent.Records.Count} records...");
            var items = kinesisEvent.Records.Select(record => Tweet(Contents(record.Kinesis))).ToArray();
            await Functions.InvokeAsync(new InvokeRequest
            {
                FunctionName = Environment.GetEnvironmentVariable("SAVE"),
                InvocationType = InvocationType.Event,
                Payload = JsonSerializer.Serialize(new { items }),
            });
            context.Logger.LogLine("Stream processing complete.");
        }

        static string Contents(KinesisEvent.Record record)
        {
            using (var reader = new StreamReader(record.Data, Encoding.UTF8)) return reader.ReadToEnd();
        }

        static Item Tweet(string text)
        {
            using (var tweet = JsonDocument.Parse(text))
            {
                Func<string, string> field = name => tweet.RootElement.GetProperty(name).GetString();
                return new Item
                {
                    TwitterID = field("id"),
                    TwitterUser = field("username"),
                    TwitterTime = field("time"),
                    Tweet = field("text"),
                    TweetTopic = field("topic"),
                };
            }
        }
    }
}
