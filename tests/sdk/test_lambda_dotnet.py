"""C# functions through boto3: handlers in every style, compiled here without NuGet, on the .NET runtime of `./test`."""

import base64
import json
import os
import subprocess
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import ROOT, Node, dotnet, needs, package

ROLE = "arn:aws:iam::000000000000:role/any"
SOURCES = ROOT / "flow" / "function" / "dotnet"
pytestmark = needs(dotnet(), "no .NET runtime and C# compiler in tests/sdk/.deps/dotnet; ./test installs them")

CODE = """
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Amazon.Lambda.Core;
using Amazon.Lambda.DynamoDBEvents;
using Amazon.Lambda.KinesisAnalyticsEvents;
using Amazon.Lambda.KinesisEvents;
using Amazon.Lambda.KinesisFirehoseEvents;
using Amazon.Lambda.S3Events;

namespace Tweets
{
    public class Result
    {
        public int Count { get; set; }
        public string Last { get; set; }
        public string Id { get; set; }
        public bool InTime { get; set; }
    }

    public class Stream
    {
        int calls;

        public void Process(KinesisEvent kinesis, ILambdaContext context)
        {
            context.Logger.LogLine($"Beginning to process {kinesis.Records.Count} records...");
            foreach (var record in kinesis.Records)
            {
                using (var reader = new StreamReader(record.Kinesis.Data, Encoding.ASCII))
                    context.Logger.LogLine($"{record.EventId} {record.Kinesis.ApproximateArrivalTimestamp:yyyy} {reader.ReadToEnd()}");
            }
        }

        public Result Sync(KinesisEvent kinesis, ILambdaContext context) => new Result
        {
            Count = kinesis.Records.Count,
            Last = Encoding.UTF8.GetString(kinesis.Records.Last().Kinesis.Data.ToArray()),
            Id = context.AwsRequestId,
            InTime = context.RemainingTime > TimeSpan.Zero && context.MemoryLimitInMB == 256 && context.FunctionName != "",
        };

        public string Change(DynamoDBEvent changes)
        {
            var record = changes.Records[0];
            var item = record.Dynamodb.NewImage;
            return $"{record.EventName} {item["id"].S} {item["n"].N} {item["ok"].BOOL} {item["tags"].L[0].S} {record.Dynamodb.SizeBytes}";
        }

        public KinesisAnalyticsOutputDeliveryResponse Deliver(KinesisAnalyticsOutputDeliveryEvent rows) =>
            new KinesisAnalyticsOutputDeliveryResponse
            {
                Records = rows.Records.Select(row => new KinesisAnalyticsOutputDeliveryResponse.Record
                {
                    RecordId = row.RecordId,
                    Result = row.DecodeData() == "{}" ? KinesisAnalyticsOutputDeliveryResponse.OK
                                                      : KinesisAnalyticsOutputDeliveryResponse.DELIVERYFAILED,
                }).ToList(),
            };

        public KinesisFirehoseResponse Shouted(KinesisFirehoseEvent records) => new KinesisFirehoseResponse
        {
            Records = records.Records.Select(record =>
            {
                var made = new KinesisFirehoseResponse.FirehoseRecord
                    { RecordId = record.RecordId, Result = KinesisFirehoseResponse.TRANSFORMED_STATE_OK };
                made.EncodeData(record.DecodeData().ToUpperInvariant());
                return made;
            }).ToList(),
        };

        public string Stored(S3Event things) =>
            $"{things.Records[0].S3.Bucket.Name}/{things.Records[0].S3.Object.Key} {things.Records[0].EventTime:yyyy}";

        public async Task<int> Later(Dictionary<string, int> input)
        {
            await Task.Delay(5);
            calls += input["n"];
            return calls;
        }

        public async Task Nothing(Dictionary<string, int> input, ILambdaContext context) => await Task.Yield();

        public System.IO.Stream Raw(System.IO.Stream input)
        {
            var text = new StreamReader(input).ReadToEnd();
            return new MemoryStream(Encoding.UTF8.GetBytes(text.ToUpperInvariant()));
        }

        public static string Shout(string text) => text + "!";

        public int Fail(Dictionary<string, int> input) => throw new InvalidOperationException("boom in C#");

        public async Task<int> FailLater(Dictionary<string, int> input)
        {
            await Task.Yield();
            throw new InvalidOperationException("boom later");
        }

        public void Eat()
        {
            var hog = new List<byte[]>();
            while (true)
            {
                var part = new byte[8 << 20];
                for (var at = 0; at < part.Length; at += 4096) part[at] = 1;
                hog.Add(part);
            }
        }
    }
}
"""

EVENT = {"Records": [{"kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "p", "sequenceNumber": "1",
                                  "data": base64.b64encode(b"a tweet").decode(),
                                  "approximateArrivalTimestamp": 1545084650.987},
                      "eventSource": "aws:kinesis", "eventID": "shardId-000000000006:1"}]}


def compiled(out, *sources, libraries=()):
    environment = {**os.environ, **dotnet(), "LIBRARIES": " ".join(map(str, libraries))}
    subprocess.run([SOURCES / "compile", out, *sources], check=True, env=environment, timeout=120)
    return out


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The function and our event libraries as a published zip."""
    folder = tmp_path_factory.mktemp("csharp")
    events = compiled(folder / "Amazon.Lambda.Events.dll", *sorted(SOURCES.glob("events/*.cs")), SOURCES / "boot" / "Json.cs")
    own = "[assembly: Amazon.Lambda.Core.LambdaSerializerAttribute(typeof(Amazon.Lambda.Serialization.Json.JsonSerializer))]"
    packages = {}
    for name, head in [("Tweets", ""), ("Own", own)]:
        # An attribute of the assembly stands behind the usings.
        source = folder / f"{name}.cs"
        source.write_text(CODE.replace("namespace Tweets", f"{head}\nnamespace Tweets", 1))
        assembly = compiled(folder / f"{name}.dll", source, libraries=[events])
        packages[name] = package({file.name: file.read_bytes() for file in (assembly, events)})
    return packages


@pytest.fixture(scope="module")
def node():
    node = Node()
    try:
        yield node.start()
    finally:
        node.remove()


@pytest.fixture
def run(node, published):
    functions = node.client("lambda")

    def call(method, event, assembly="Tweets", runtime="dotnet8", handler=None):
        name = f"d-{uuid.uuid4().hex[:8]}"
        functions.create_function(FunctionName=name, Runtime=runtime, Role=ROLE, Timeout=30, MemorySize=256,
                                  Handler=handler or f"{assembly}::Tweets.Stream::{method}", Code={"ZipFile": published[assembly]})
        answer = functions.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
        log = base64.b64decode(answer["LogResult"]).decode()
        return json.load(answer["Payload"]), answer.get("FunctionError"), log

    return call


@pytest.mark.parametrize("assembly", ["Tweets", "Own"])
def test_kinesis_events_are_decoded(run, assembly):
    answer, error, log = run("Sync", EVENT, assembly)
    assert error is None, log
    assert (answer["Count"], answer["Last"], answer["InTime"]) == (1, "a tweet", True) and f"RequestId: {answer['Id']}" in log


def test_the_logger_writes_to_the_functions_log(run):
    answer, error, log = run("Process", EVENT)
    assert (answer, error) == (None, None)
    assert "Beginning to process 1 records..." in log and "shardId-000000000006:1 2018 a tweet" in log
    assert "Init Duration:" in log


@pytest.mark.parametrize("method, event, expected", [
    ("Change", {"Records": [{"eventName": "INSERT", "dynamodb": {
        "ApproximateCreationDateTime": 1545084650, "SizeBytes": 12, "NewImage": {
            "id": {"S": "a"}, "n": {"N": "7"}, "ok": {"BOOL": True}, "tags": {"L": [{"S": "x"}]}}}}]}, "INSERT a 7 True x 12"),
    ("Deliver", {"records": [{"recordId": "1", "lambdaDeliveryRecordMetadata": {"retryHint": 0}, "data": "e30="},
                             {"recordId": "2", "data": "W10="}]},
     {"records": [{"recordId": "1", "result": "Ok"}, {"recordId": "2", "result": "DeliveryFailed"}]}),
    ("Shouted", {"records": [{"recordId": "1", "data": "aGV5", "approximateArrivalTimestamp": 1545084650987}]},
     {"records": [{"recordId": "1", "result": "Ok", "data": "SEVZ"}]}),
    ("Stored", {"Records": [{"eventTime": "2018-12-17T22:10:50.987Z",
                             "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]}, "b/k 2018"),
    ("Later", {"n": 3}, 3),
    ("Nothing", {}, None),
    ("Raw", {"a": "b"}, {"A": "B"}),
    ("Shout", "hey", "hey!"),
])
def test_handlers_answer_in_every_style(run, method, event, expected):
    assert run(method, event)[:2] == (expected, None)


@pytest.mark.parametrize("method, message", [("Fail", "boom in C#"), ("FailLater", "boom later")])
def test_exceptions_are_told(run, method, message):
    document, error, log = run(method, {})
    assert (error, document["errorType"], document["errorMessage"]) == ("Unhandled", "InvalidOperationException", message)
    assert any("Tweets.Stream" in line for line in document["stackTrace"]) and message in log


def test_a_package_for_an_older_release_runs_on_what_there_is(run):
    assert run("Later", {"n": 1}, runtime="dotnet6")[:2] == (1, None)


def test_memory_is_limited(run):
    document, error, _ = run("Eat", {})
    assert error == "Unhandled"
    assert document["errorType"] in ("OutOfMemoryException", "Runtime.ExitError")


@pytest.mark.parametrize("handler, kind", [
    ("Tweets::Tweets.Stream::Missing", "MissingMethodException"),
    ("Tweets::Tweets.Nobody::Sync", "TypeLoadException"),
    ("Other::Tweets.Stream::Sync", "FileNotFoundException"),
    ("Tweets::Sync", "ArgumentException"),
])
def test_wrong_handlers_are_told(run, handler, kind):
    document, error, _ = run(None, {}, handler=handler)
    assert (error, document["errorType"]) == ("Unhandled", kind)


def test_a_release_that_is_not_installed_is_refused(node, published):
    with pytest.raises(ClientError) as raised:
        node.client("lambda").create_function(FunctionName="x", Runtime="dotnet10", Role=ROLE, Handler="a::b::c",
                                              Code={"ZipFile": published["Tweets"]})
    error = raised.value.response["Error"]
    assert error["Code"] == "InvalidParameterValueException" and "8.0.4" in error["Message"]
