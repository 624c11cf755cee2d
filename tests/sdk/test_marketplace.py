"""The marketplace's metering calls through boto3: a seller's code that meets a customer and meters usage."""

import csv
import datetime
import io
import json
import uuid

import pytest
import requests
from botocore.exceptions import ClientError
from conftest import let_topics


@pytest.fixture(scope="module")
def market(node):
    return node.client("meteringmarketplace", parameter_validation=False)


@pytest.fixture(scope="module")
def product(node):
    code = f"prod-{uuid.uuid4().hex[:8]}"
    node.run("marketplace", "product", code, "--dimension", "gigabytes", "--dimension", "users")
    return code


def subscribe(node, product, account):
    return json.loads(node.run("marketplace", "subscribe", product, account))


def now(hours=0):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)


def error(code, call, **keywords):
    with pytest.raises(ClientError) as caught:
        call(**keywords)
    assert caught.value.response["Error"]["Code"] == code, caught.value


def record(customer, quantity, dimension="gigabytes", time=None, **more):
    return {"Timestamp": time or now(), "CustomerIdentifier": customer, "Dimension": dimension, "Quantity": quantity} | more


def test_a_token_says_who_the_customer_is(node, market, product):
    made = subscribe(node, product, "111111111111")
    found = market.resolve_customer(RegistrationToken=made["token"])
    assert (found["CustomerIdentifier"], found["ProductCode"]) == (made["customer"], product)
    assert found["CustomerAWSAccountId"] == "111111111111"
    assert found["LicenseArn"].endswith(f":license:l-{made['license']}")
    error("InvalidTokenException", market.resolve_customer, RegistrationToken="x" * 64)
    again = json.loads(node.run("marketplace", "token", made["license"]))["token"]
    assert market.resolve_customer(RegistrationToken=again)["CustomerIdentifier"] == made["customer"]
    refused = node.run("marketplace", "subscribe", product, "111111111111", check=False)
    assert refused.returncode != 0 and "already" in refused.stderr
    assert node.run("marketplace", "subscribe", product, "12", check=False).returncode != 0
    assert node.run("marketplace", "subscribe", "nothing", "111111111111", check=False).returncode != 0
    node.stop()
    node.start()
    assert market.resolve_customer(RegistrationToken=made["token"])["CustomerIdentifier"] == made["customer"]


def test_batches_tell_of_each_record(node, market, product):
    one, two = subscribe(node, product, "222222222222"), subscribe(node, product, "333333333333")
    other = f"prod-{uuid.uuid4().hex[:8]}"
    node.run("marketplace", "product", other)
    elsewhere = subscribe(node, other, "444444444444")
    hour = now(-2)
    records = [record(one["customer"], 5, time=hour), record(two["customer"], 7, time=hour),
               record(elsewhere["customer"], 1, time=hour), record(one["customer"], 3, "users", time=hour)]
    answer = market.batch_meter_usage(ProductCode=product, UsageRecords=records)
    assert [result["Status"] for result in answer["Results"]] == [
        "Success", "Success", "CustomerNotSubscribed", "Success"]
    assert answer["UnprocessedRecords"] == []
    assert answer["Results"][0]["UsageRecord"]["Quantity"] == 5
    first = answer["Results"][0]["MeteringRecordId"]
    again = market.batch_meter_usage(ProductCode=product, UsageRecords=[
        record(one["customer"], 5, time=hour), record(one["customer"], 6, time=hour)])
    assert [(result["Status"], result["MeteringRecordId"]) for result in again["Results"]] == [
        ("Success", first), ("DuplicateRecord", first)]
    by_account = {"Timestamp": now(-1), "CustomerAWSAccountId": "222222222222", "Dimension": "users",
                  "QuantityAsDecimal": "0.25"}
    assert market.batch_meter_usage(ProductCode=product, UsageRecords=[by_account])["Results"][0]["Status"] == "Success"
    kept = [json.loads(line) for line in node.run("marketplace", "records", product).splitlines()]
    assert sorted(entry["quantity"] for entry in kept) == [250_000, 3_000_000, 5_000_000, 7_000_000]


def test_batches_that_make_no_sense_meter_nothing(node, market, product):
    made = subscribe(node, product, "555555555555")["customer"]

    def refused(code, *records, product=product):
        error(code, market.batch_meter_usage, ProductCode=product, UsageRecords=list(records))

    refused("InvalidProductCodeException", record(made, 1), product="nothing")
    refused("InvalidUsageDimensionException", record(made, 1), record(made, 1, "furlongs"))
    refused("InvalidCustomerIdentifierException", record("nobody", 1))
    refused("InvalidCustomerIdentifierException", {"Timestamp": now(), "Dimension": "users", "Quantity": 1})
    refused("TimestampOutOfBoundsException", record(made, 1, time=now(-25)))
    refused("TimestampOutOfBoundsException", record(made, 1, time=now(2)))
    refused("ValidationException", record(made, -1))
    refused("ValidationException", *[record(made, 1)] * 26)
    refused("InvalidLicenseException", record(made, 1, LicenseArn="arn:aws:license-manager::000000000000:license:l-none"))
    allocation = {"AllocatedUsageQuantity": 1, "Tags": [{"Key": "team", "Value": "a"}]}
    refused("InvalidUsageAllocationsException", record(made, 5, UsageAllocations=[allocation]))
    assert market.batch_meter_usage(ProductCode=product, UsageRecords=[])["Results"] == []
    allocated = [allocation, allocation | {"AllocatedUsageQuantity": 4, "Tags": [{"Key": "team", "Value": "b"}]}]
    taken = market.batch_meter_usage(ProductCode=product, UsageRecords=[record(made, 5, UsageAllocations=allocated)])
    assert taken["Results"][0]["Status"] == "Success", "nothing of the refused ones was metered"


def test_usage_of_the_sellers_own_account(market, product):
    usage = {"ProductCode": product, "Timestamp": now(), "UsageDimension": "users", "UsageQuantity": 2}
    error("DryRunOperation", market.meter_usage, **usage, DryRun=True)
    first = market.meter_usage(**usage)["MeteringRecordId"]
    assert market.meter_usage(**usage, DryRun=False)["MeteringRecordId"] == first
    error("DuplicateRequestException", market.meter_usage, **usage | {"UsageQuantity": 3})
    error("InvalidUsageDimensionException", market.meter_usage, **usage | {"UsageDimension": "furlongs"})
    error("InvalidProductCodeException", market.meter_usage, **usage | {"ProductCode": "nothing"})
    error("UnknownOperationException", market.register_usage, ProductCode=product, PublicKeyVersion=1)


def test_customers_leave(node, market, product):
    made = subscribe(node, product, "666666666666")
    left = json.loads(node.run("marketplace", "unsubscribe", made["license"]))
    assert left["state"] == "ending"
    metered = market.batch_meter_usage(ProductCode=product, UsageRecords=[record(made["customer"], 1)])
    assert metered["Results"][0]["Status"] == "Success", "the last usage is taken for an hour"
    assert node.run("marketplace", "unsubscribe", made["license"], check=False).returncode != 0
    states = {entry["license"]: entry["state"] for entry in map(json.loads, node.run("marketplace", "list").splitlines())}
    assert states[made["license"]] == "ending"


def test_the_products_topic_is_told_of_customers(node):
    sns, sqs = node.client("sns"), node.client("sqs")
    name = f"subscriptions-{uuid.uuid4().hex[:8]}"
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    let_topics(sqs, queue, arn)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    node.run("marketplace", "product", name, "--topic", name)
    made = subscribe(node, name, "777777777777")
    node.run("marketplace", "unsubscribe", made["license"])
    notices = []
    for _ in range(4):
        for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10, MaxNumberOfMessages=10).get("Messages", []):
            notices.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        if len(notices) == 2:
            break
    assert sorted(notice["action"] for notice in notices) == ["subscribe-success", "unsubscribe-pending"]
    assert {(notice["customer-identifier"], notice["product-code"]) for notice in notices} == {(made["customer"], name)}


def test_usage_of_plans_is_exported(node, product):
    gateway = node.client("apigateway")
    api = gateway.create_rest_api(name="paid")
    place = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    gateway.put_method(**place, authorizationType="NONE", apiKeyRequired=True)
    gateway.put_integration(**place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    gateway.put_method_response(**place, statusCode="200")
    gateway.put_integration_response(**place, statusCode="200", responseTemplates={"application/json": "12345"})
    gateway.create_deployment(restApiId=api["id"], stageName="prod")
    plan = gateway.create_usage_plan(name="sold, dear", apiStages=[{"apiId": api["id"], "stage": "prod"}])["id"]
    gateway.update_usage_plan(usagePlanId=plan, patchOperations=[{"op": "add", "path": "/productCode", "value": product}])
    key, value = node.run("keys", "--create", "robot", "--plan", "sold, dear").split()
    url = f"{node.endpoint}/_aws/execute-api/{api['id']}/prod/"
    for _ in range(3):
        assert requests.get(url, headers={"x-api-key": value}, timeout=10).status_code == 200
    assert "robot" in node.run("keys")
    rows = list(csv.DictReader(io.StringIO(node.run("usage", "export", "--open", "--plan", plan))))
    assert [(row["dimension"], row["quantity"], row["key"], row["plan_name"], row["product_code"]) for row in rows] == [
        ("requests", "3", key, "sold, dear", product), ("bytes", "15", key, "sold, dear", product)]
    assert node.run("usage", "export", "--plan", plan).splitlines()[1:] == [], "the hour is not over"
    exports = [node.run("usage", "export", "--open", "--format", "cloudevents", "--plan", plan) for _ in range(2)]
    assert exports[0] == exports[1]
    events = [json.loads(line) for line in exports[0].splitlines()]
    assert [event["specversion"] for event in events] == ["1.0", "1.0"]
    assert len({event["id"] for event in events}) == 2
    assert events[0]["data"]["quantity"] == 3
    assert node.run("usage", "export", "--from", "yesterday", check=False).returncode != 0
    lines = requests.get(f"{node.console}/api/usage", params={"open": "true"}, timeout=10)
    assert lines.headers["content-type"].startswith("text/csv") and key in lines.text
