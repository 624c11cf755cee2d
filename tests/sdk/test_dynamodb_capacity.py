"""Provisioned DynamoDB tables through an unmodified boto3: what is over their capacity is refused or left undone."""

import time
import uuid

import pytest
from botocore.exceptions import ClientError

EXCEEDED = (
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning "
    "level with the UpdateTable API."
)


@pytest.fixture
def table(dynamodb):
    """A table that may write once and read once a second."""
    name = f"capacity-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    yield name
    dynamodb.delete_table(TableName=name)


def item(number, filling=""):
    return {"id": {"S": f"i{number}"}, "filling": {"S": filling}}


def exhaust(dynamodb, table):
    """Writes 40 KB: the table owes many seconds of its capacity afterwards, however slow this machine is."""
    dynamodb.put_item(TableName=table, Item=item(0, "x" * 40_000))


def test_single_calls_are_refused(dynamodb, table):
    exhaust(dynamodb, table)
    with pytest.raises(ClientError) as caught:
        dynamodb.put_item(TableName=table, Item=item(1))
    error = caught.value.response
    assert (error["Error"]["Code"], error["Error"]["Message"]) == ("ProvisionedThroughputExceededException", EXCEEDED)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    described = dynamodb.update_table(TableName=table, BillingMode="PAY_PER_REQUEST")["TableDescription"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    for number in range(20):
        dynamodb.put_item(TableName=table, Item=item(number))
    described = dynamodb.update_table(
        TableName=table,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 7},
    )["TableDescription"]
    units = described["ProvisionedThroughput"]
    assert (units["ReadCapacityUnits"], units["WriteCapacityUnits"]) == (5, 7)
    with pytest.raises(ClientError, match="The provisioned throughput for the table will not change"):
        dynamodb.update_table(TableName=table, ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 7})


def test_a_batch_leaves_undone_what_there_is_no_capacity_for(dynamodb, table):
    writes = [{"PutRequest": {"Item": item(number, "x" * 20_000)}} for number in range(10)]
    left = dynamodb.batch_write_item(RequestItems={table: writes}, ReturnConsumedCapacity="TOTAL")
    undone = left["UnprocessedItems"][table]
    assert undone == writes[-len(undone):] and len(undone) >= 8
    assert left["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 20.0 * (10 - len(undone))}]
    with pytest.raises(ClientError) as caught:
        dynamodb.batch_write_item(RequestItems={table: undone})
    assert caught.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"


def test_undone_writes_are_done_with_backoff(dynamodb, table):
    """The loop that every user of BatchWriteItem has: what is left is sent again, later."""
    requests, rounds, deadline = {table: [{"PutRequest": {"Item": item(number)}} for number in range(6)]}, 0, time.time() + 60
    while requests and time.time() < deadline:
        try:
            requests = dynamodb.batch_write_item(RequestItems=requests)["UnprocessedItems"]
        except dynamodb.exceptions.ProvisionedThroughputExceededException:
            pass
        rounds += 1
        time.sleep(min(0.1 * 2**rounds, 2))
    assert requests == {} and rounds > 1
    dynamodb.update_table(TableName=table, BillingMode="PAY_PER_REQUEST")
    assert dynamodb.scan(TableName=table, Select="COUNT")["Count"] == 6


def test_reads_are_left_undone_too(dynamodb, table):
    dynamodb.update_table(TableName=table, BillingMode="PAY_PER_REQUEST")
    for number in range(4):
        dynamodb.put_item(TableName=table, Item=item(number, "x" * 100_000))
    dynamodb.update_table(
        TableName=table,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    # Whatever the table has kept of its capacity goes first.
    for _ in range(20):
        try:
            dynamodb.scan(TableName=table, ConsistentRead=True)
        except dynamodb.exceptions.ProvisionedThroughputExceededException:
            break
    else:
        pytest.fail("reading 2 MB was let through by one unit a second")
    with pytest.raises(ClientError) as caught:
        dynamodb.batch_get_item(RequestItems={table: {"Keys": [{"id": {"S": "i0"}}]}})
    assert caught.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"


def test_consumed_capacity(dynamodb, table):
    dynamodb.update_table(TableName=table, BillingMode="PAY_PER_REQUEST")

    def units(call, **parameters):
        return call(ReturnConsumedCapacity="TOTAL", **parameters)["ConsumedCapacity"]["CapacityUnits"]

    key = {"id": {"S": "i1"}}
    assert units(dynamodb.put_item, TableName=table, Item=item(1, "x" * 9_000)) == 9.0
    assert units(dynamodb.get_item, TableName=table, Key=key) == 1.5
    assert units(dynamodb.get_item, TableName=table, Key=key, ConsistentRead=True) == 3.0
    assert units(dynamodb.scan, TableName=table) == 1.5
    assert units(dynamodb.put_item, TableName=table, Item=item(1)) == 9.0, "the larger item counts"
    update = {"UpdateExpression": "SET filling = :f", "ExpressionAttributeValues": {":f": {"S": "y" * 2_000}}}
    assert units(dynamodb.update_item, TableName=table, Key=key, **update) == 2.0
    assert units(dynamodb.delete_item, TableName=table, Key=key) == 2.0
    written = dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": table, "Item": item(2, "x" * 1_500)}}], ReturnConsumedCapacity="INDEXES"
    )
    assert written["ConsumedCapacity"] == [
        {
            "TableName": table,
            "CapacityUnits": 4.0,
            "WriteCapacityUnits": 4.0,
            "Table": {"CapacityUnits": 4.0, "WriteCapacityUnits": 4.0},
        }
    ]
