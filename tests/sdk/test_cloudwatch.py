"""CloudWatch metrics with boto3: the node's own under the services' names, and those of clients."""

import datetime
import time

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

NOW = datetime.datetime.now(datetime.timezone.utc)
SPAN = {"StartTime": NOW - datetime.timedelta(hours=1), "EndTime": NOW + datetime.timedelta(hours=1)}


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
        {"MetricName": "Sales", "Dimensions": dimensions, "Values": [1.0, 2.5], "Counts": [3, 2], "Timestamp": NOW},
        {"MetricName": "Sales", "Dimensions": dimensions, "StatisticValues": {"SampleCount": 4, "Sum": 8, "Minimum": -1, "Maximum": 5}, "Timestamp": NOW},
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


def test_the_nodes_own_metrics_have_the_services_names(server, cloudwatch):
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="measured", ShardCount=1)
    for _ in range(3):
        kinesis.put_records(StreamName="measured", Records=[{"Data": b"x" * 10, "PartitionKey": "k"}] * 5)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        data = cloudwatch.get_metric_data(MetricDataQueries=[query("AWS/Kinesis", "IncomingRecords", "StreamName", "measured")], **SPAN)
        values = data["MetricDataResults"][0]["Values"]
        if sum(values) >= 15:
            break
        time.sleep(0.2)
    assert sum(values) == 15
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
