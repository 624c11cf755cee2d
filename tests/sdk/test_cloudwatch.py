"""CloudWatch metrics with boto3: the node's own under the services' names, and those of clients."""

import datetime
import uuid

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from conftest import package, until

NOW = datetime.datetime.now(datetime.timezone.utc)
SPAN = {"StartTime": NOW - datetime.timedelta(hours=1), "EndTime": NOW + datetime.timedelta(hours=2)}


@pytest.fixture
def cloudwatch(server):
    return server.client("cloudwatch")


def query(namespace, name, dimension, value, stat="Sum", **more):
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": dimension, "Value": value}]}
    return {"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}, **more}


def test_clients_put_and_read_their_own(cloudwatch):
    dimensions = [{"Name": "Till", "Value": "1"}]
    cloudwatch.put_metric_data(Namespace="Shop", MetricData=[
        {"MetricName": "Sales", "Dimensions": dimensions, "Value": 10.0, "Unit": "Count", "Timestamp": NOW},
        {"MetricName": "Sales", "Dimensions": dimensions, "Values": [1.0, 2.5], "Counts": [3, 2], "Unit": "Count", "Timestamp": NOW},
        {"MetricName": "Sales", "Dimensions": dimensions, "StatisticValues": {"SampleCount": 4, "Sum": 8, "Minimum": -1, "Maximum": 5}, "Unit": "Count", "Timestamp": NOW},
    ])
    answer = cloudwatch.get_metric_statistics(Namespace="Shop", MetricName="Sales", Dimensions=dimensions, Period=60,
                                              Statistics=["Sum", "SampleCount", "Minimum", "Maximum", "Average"], **SPAN)
    (point,) = answer["Datapoints"]
    assert (point["SampleCount"], point["Sum"], point["Minimum"], point["Maximum"]) == (10, 26, -1, 10)
    assert point["Timestamp"] == NOW.replace(second=0, microsecond=0)
    data = cloudwatch.get_metric_data(MetricDataQueries=[query("Shop", "Sales", "Till", "1", "Average", Label="mean")], **SPAN)
    (result,) = data["MetricDataResults"]
    assert (result["Label"], result["Values"], result["StatusCode"]) == ("mean", [2.6], "Complete")
    listed = cloudwatch.list_metrics(Namespace="Shop", Dimensions=[{"Name": "Till"}], RecentlyActive="PT3H")["Metrics"]
    assert listed == [{"Namespace": "Shop", "MetricName": "Sales", "Dimensions": dimensions}]


def put(cloudwatch, namespace, values, **more):
    """One value a minute, the newest first; gives their times."""
    times = [NOW.replace(second=0, microsecond=0) - datetime.timedelta(minutes=at) for at in range(len(values))]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[
        {"MetricName": "m", "Dimensions": [{"Name": "d", "Value": "v"}], "Value": value, "Timestamp": time, **more}
        for value, time in zip(values, times)])
    return times


def test_units_are_kept_apart(cloudwatch):
    put(cloudwatch, "Units", [1.0], Unit="Seconds")
    put(cloudwatch, "Units", [2.0], Unit="Bytes")
    put(cloudwatch, "Units", [4.0])
    asked = {"Namespace": "Units", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "v"}], "Period": 60,
             "Statistics": ["Sum"], **SPAN}
    points = cloudwatch.get_metric_statistics(**asked)["Datapoints"]
    assert sorted((point["Unit"], point["Sum"]) for point in points) == [("Bytes", 2), ("None", 4), ("Seconds", 1)]
    (point,) = cloudwatch.get_metric_statistics(**asked, Unit="Bytes")["Datapoints"]
    assert (point["Unit"], point["Sum"]) == ("Bytes", 2)
    assert cloudwatch.get_metric_statistics(**asked, Unit="Count")["Datapoints"] == []
    one = query("Units", "m", "d", "v")
    one["MetricStat"]["Unit"] = "Seconds"
    answer = cloudwatch.get_metric_data(MetricDataQueries=[one], LabelOptions={"Timezone": "+0130"}, **SPAN)
    assert answer["MetricDataResults"][0]["Values"] == [1]


@pytest.mark.parametrize("order", ["TimestampAscending", "TimestampDescending"])
def test_points_come_in_pages(cloudwatch, order):
    namespace = f"Pages{order}"
    times = put(cloudwatch, namespace, [float(value) for value in range(7)])
    queries = [query(namespace, "m", "d", "v"), query(namespace, "m", "d", "v", "Maximum") | {"Id": "r"},
               query(namespace, "none", "d", "v") | {"Id": "s"}]
    asked = {"MetricDataQueries": queries, "ScanBy": order, **SPAN}
    whole = cloudwatch.get_metric_data(**asked)
    assert "NextToken" not in whole
    pages = cloudwatch.get_paginator("get_metric_data").paginate(**asked, MaxDatapoints=4)
    read, count = {}, 0
    for count, page in enumerate(pages, 1):
        assert sum(len(result["Values"]) for result in page["MetricDataResults"]) <= 4
        for result in page["MetricDataResults"]:
            read.setdefault(result["Id"], []).extend(zip(result["Timestamps"], result["Values"]))
    assert count == 4
    expected = sorted(zip(times, map(float, range(7))), reverse=order == "TimestampDescending")
    assert read == {"q": expected, "r": expected, "s": []}


def test_high_resolution_is_told_by_the_second(cloudwatch):
    start = NOW.replace(second=0, microsecond=0)
    cloudwatch.put_metric_data(Namespace="Fine", MetricData=[
        {"MetricName": "m", "Value": 1.0, "StorageResolution": 1, "Timestamp": start + datetime.timedelta(seconds=at)}
        for at in (0, 1, 12)])
    asked = {"Namespace": "Fine", "MetricName": "m", "Statistics": ["Sum"], **SPAN}

    def sums(period):
        points = cloudwatch.get_metric_statistics(**asked | {"StartTime": start, "EndTime": start + datetime.timedelta(minutes=2)}, Period=period)["Datapoints"]
        return [point["Sum"] for point in sorted(points, key=lambda point: point["Timestamp"])]

    assert (sums(1), sums(10), sums(60)) == ([1, 1, 1], [2, 1], [3])
    put(cloudwatch, "Fine", [1.0])
    assert cloudwatch.get_metric_statistics(**asked | {"Dimensions": [{"Name": "d", "Value": "v"}]}, Period=10)["Datapoints"] == []


def test_functions_have_all_their_metrics(server, cloudwatch, lambda_client):
    name = f"m-{uuid.uuid4().hex[:8]}"
    code = package({"app.py": "def handler(event, context):\n    return 1 / event.get('by', 1)\n"})
    lambda_client.create_function(FunctionName=name, Runtime="python3.11", Handler="app.handler", Code={"ZipFile": code},
                                  Role="arn:aws:iam::000000000000:role/any", Timeout=20)
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    arn = kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"]
    lambda_client.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, StartingPosition="LATEST")
    for by in (1, 1, 0):
        lambda_client.invoke(FunctionName=name, Payload=f'{{"by": {by}}}')

    def told(metric, stat, *dimensions):
        asked = query("AWS/Lambda", metric, "FunctionName", name, stat)
        if dimensions:
            asked["MetricStat"]["Metric"]["Dimensions"] = dimensions[0]
        return cloudwatch.get_metric_data(MetricDataQueries=[asked], **SPAN)["MetricDataResults"][0]["Values"]

    until(lambda: told("IteratorAge", "Maximum") and sum(told("Invocations", "Sum")) == 3)
    assert (sum(told("Errors", "Sum")), sum(told("Errors", "SampleCount"))) == (1, 3)
    assert sum(told("Throttles", "Sum")) == 0 and told("Throttles", "Sum") != []
    assert told("DeadLetterErrors", "Maximum") != [] and told("IteratorAge", "Maximum") != []
    assert any(value % 1 for value in told("Duration", "Average"))
    assert told("Errors", "Sum", [{"Name": "FunctionName", "Value": name}, {"Name": "Color", "Value": "red"}]) == []
    assert sum(told("Invocations", "Sum", [])) >= 3


def test_metrics_outlive_the_node(node):
    cloudwatch, kinesis = node.client("cloudwatch"), node.client("kinesis")
    put(cloudwatch, "Durable", [3.0], Unit="Percent")
    name = "kept-metrics"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="k")
    incoming = {"MetricDataQueries": [query("AWS/Kinesis", "IncomingRecords", "StreamName", name)], **SPAN}
    before = until(lambda: cloudwatch.get_metric_data(**incoming)["MetricDataResults"][0]["Values"])
    node.stop()
    node.start()
    cloudwatch = node.client("cloudwatch")
    (point,) = cloudwatch.get_metric_statistics(
        Namespace="Durable", MetricName="m", Dimensions=[{"Name": "d", "Value": "v"}], Period=60, Statistics=["Sum"], **SPAN)["Datapoints"]
    assert (point["Sum"], point["Unit"]) == (3, "Percent")
    assert cloudwatch.get_metric_data(**incoming)["MetricDataResults"][0]["Values"] == before


def test_what_does_not_fit_is_refused_whole(node):
    """The last of its node's calls that put something: it uses up the metrics that are kept."""
    cloudwatch = node.client("cloudwatch", disable_request_compression=True)

    def fill(count, first=0):
        for start in range(first, first + count, 1_000):
            end = min(start + 1_000, first + count)
            cloudwatch.put_metric_data(Namespace="Many", MetricData=[
                {"MetricName": f"m{at}", "Value": 1.0} for at in range(start, end)])

    put(cloudwatch, "Another", [1.0])
    fill(9_000)
    with pytest.raises(ClientError) as raised:
        fill(1_000, 9_000)
    assert raised.value.response["Error"]["Code"] == "LimitExceeded"
    listed = [metric["MetricName"] for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace="Many") for metric in page["Metrics"]]
    assert len(listed) == len(set(listed)) == 9_000, "all of a call or nothing"
    fill(900, 9_000)


def test_the_nodes_own_metrics_have_the_services_names(server, cloudwatch):
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="measured", ShardCount=1)
    for _ in range(3):
        kinesis.put_records(StreamName="measured", Records=[{"Data": b"x" * 10, "PartitionKey": "k"}] * 5)
    asked = query("AWS/Kinesis", "IncomingRecords", "StreamName", "measured")
    came = lambda: sum(cloudwatch.get_metric_data(MetricDataQueries=[asked], **SPAN)["MetricDataResults"][0]["Values"])
    until(lambda: came() >= 15)
    assert came() == 15
    names = {metric["MetricName"] for page in cloudwatch.get_paginator("list_metrics").paginate(Dimensions=[{"Name": "StreamName", "Value": "measured"}]) for metric in page["Metrics"]}
    assert {"IncomingRecords", "IncomingBytes"} <= names


@pytest.mark.parametrize("operation, arguments, code", [
    ("put_metric_data", {"Namespace": "AWS/Lambda", "MetricData": [{"MetricName": "m", "Value": 1}]}, "InvalidParameterValue"),
    ("put_metric_data", {"Namespace": "N", "MetricData": []}, "MissingParameter"),
    ("put_metric_data", {"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": 1, "Values": [1.0]}]}, "InvalidParameterCombination"),
    ("put_metric_data", {"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": 1, "Timestamp": NOW - datetime.timedelta(days=20)}]}, "InvalidParameterValue"),
    ("get_metric_data", {"MetricDataQueries": [query("N", "m", "d", "v", "p99")], **SPAN}, "InvalidParameterValue"),
    ("get_metric_data", {"MetricDataQueries": [{"Id": "q", "Expression": "m1+m2"}], **SPAN}, "InvalidParameterValue"),
    ("get_metric_data", {"MetricDataQueries": [query("N", "m", "d", "v")], "StartTime": NOW, "EndTime": NOW}, "InvalidParameterCombination"),
    ("put_metric_data", {"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": 1, "Unit": "Furlongs"}]}, "InvalidParameterValue"),
    ("put_metric_data", {"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": 1, "StorageResolution": 5}]}, "InvalidParameterValue"),
    ("get_metric_data", {"MetricDataQueries": [query("N", "m", "d", "v"), query("N", "m", "d", "v")], **SPAN}, "InvalidParameterValue"),
    ("get_metric_data", {"MetricDataQueries": [query("N", "m", "d", "v", Label="${AVG}")], **SPAN}, "InvalidParameterValue"),
    ("get_metric_data", {"MetricDataQueries": [query("N", "m", "d", "v", AccountId="1")], **SPAN}, "InvalidParameterValue"),
    ("get_metric_data", {"MetricDataQueries": [query("N", "m", "d", "v")], "LabelOptions": {"Timezone": "CET"}, **SPAN}, "InvalidParameterValue"),
    ("get_metric_data", {"MetricDataQueries": [query("N", "m", "d", "v")], "MaxDatapoints": 0, **SPAN}, "InvalidParameterValue"),
    ("get_metric_data", {"MetricDataQueries": [query("N", "m", "d", "v")], "NextToken": "made up", **SPAN}, "InvalidNextToken"),
    ("list_metrics", {"NextToken": "500"}, "InvalidParameterValue"),
    ("list_metrics", {"IncludeLinkedAccounts": True}, "InvalidParameterValue"),
    ("describe_alarms", {}, "UnknownOperationException"),
])
def test_mistakes_are_the_services_own(cloudwatch, operation, arguments, code):
    with pytest.raises(ClientError) as raised:
        getattr(cloudwatch, operation)(**arguments)
    assert raised.value.response["Error"]["Code"] == code


def signed(endpoint, body, headers, path="/"):
    request = AWSRequest("POST", endpoint + path, data=body, headers=headers)
    SigV4Auth(Credentials("test", "test"), "monitoring", "us-east-1").add_auth(request)
    return requests.post(endpoint + path, data=body, headers=dict(request.prepare().headers), timeout=30)


def cbor(server, operation, **arguments):
    """The call as SDKs make it that prefer CBOR, written and read by botocore."""
    model = server.client("cloudwatch").meta.service_model.operation_model(operation)
    request = create_serializer("smithy-rpc-v2-cbor").serialize_to_request(arguments, model)
    answer = signed(server.endpoint, request["body"], request["headers"], request["url_path"])
    response = {"status_code": answer.status_code, "headers": answer.headers, "body": answer.content}
    return create_parser("smithy-rpc-v2-cbor").parse(response, model.output_shape)


def test_cbor_is_answered_in_cbor(server):
    cbor(server, "PutMetricData", Namespace="Binary", MetricData=[{"MetricName": "m", "Value": 2.5, "Timestamp": NOW}])
    (metric,) = cbor(server, "ListMetrics", Namespace="Binary")["Metrics"]
    assert metric["MetricName"] == "m"
    asked = {"Namespace": "Binary", "MetricName": "m", "Period": 60, "Statistics": ["Maximum"], **SPAN}
    (point,) = cbor(server, "GetMetricStatistics", **asked)["Datapoints"]
    assert (point["Maximum"], point["Timestamp"]) == (2.5, NOW.replace(second=0, microsecond=0))
    error = cbor(server, "GetMetricStatistics", **(asked | {"Period": 7}))["Error"]
    assert (error["Code"], error["Type"]) == ("InvalidParameterValue", "Sender")
    assert cbor(server, "DescribeAlarms")["Error"]["Code"] == "UnknownOperationException"


def test_older_protocols_are_answered_too(endpoint):
    form = "Action=PutMetricData&Namespace=Old&MetricData.member.1.MetricName=m&MetricData.member.1.Value=7"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = signed(endpoint, form, headers)
    assert answer.status_code == 200 and "<PutMetricDataResponse" in answer.text
    answer = signed(endpoint, "Action=ListMetrics&Namespace=Old", headers)
    assert "<MetricName>m</MetricName>" in answer.text
    answer = signed(endpoint, "Action=PutMetricData&Namespace=Old", headers)
    assert answer.status_code == 400 and "<Code>MissingParameter</Code>" in answer.text
    answer = signed(endpoint, '{"Namespace": "Old"}', {"X-Amz-Target": "GraniteServiceVersion20100801.ListMetrics", "Content-Type": "application/x-amz-json-1.0"})
    assert answer.json()["Metrics"] == [{"Namespace": "Old", "MetricName": "m", "Dimensions": []}]
