"""DynamoDB through an unmodified boto3: every operation that the node serves, and its errors."""

import time
import uuid
from decimal import Decimal

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

TIME = "2020-01-01 00:01:00"


@pytest.fixture
def table(dynamodb):
    """A table with the key of the story: (timestamp, symbol)."""
    name = f"trades-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "timestamp", "AttributeType": "S"},
            {"AttributeName": "symbol", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "timestamp", "KeyType": "HASH"},
            {"AttributeName": "symbol", "KeyType": "RANGE"},
        ],
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name)
    yield name
    try:
        dynamodb.delete_table(TableName=name)
    except dynamodb.exceptions.ResourceNotFoundException:
        pass  # The test deleted it.


def key(symbol, timestamp=TIME):
    return {"timestamp": {"S": timestamp}, "symbol": {"S": symbol}}


def item(symbol, change, timestamp=TIME):
    return key(symbol, timestamp) | {"shareChange": {"N": str(change)}}


def refused(code, message, call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (code, message)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_table_is_made_described_listed_and_deleted(dynamodb, table):
    described = dynamodb.describe_table(TableName=table)["Table"]
    assert described["TableStatus"] == "ACTIVE"
    assert [part["KeyType"] for part in described["KeySchema"]] == ["HASH", "RANGE"]
    assert described["TableArn"].endswith(f":table/{table}")
    names = [name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]]
    assert table in names
    assert dynamodb.delete_table(TableName=table)["TableDescription"]["TableStatus"] == "DELETING"
    refused(
        "ResourceNotFoundException",
        f"Requested resource not found: Table: {table} not found",
        dynamodb.describe_table,
        TableName=table,
    )


def test_all_types_come_back(dynamodb, table):
    values = {
        "text": "žluť",
        "number": Decimal("12345678901234567890.5"),
        "bytes": b"\x00\xff",
        "yes": True,
        "nothing": None,
        "list": [Decimal(1), "two", [b"3"]],
        "map": {"deep": {"er": Decimal("-0.001")}},
        "texts": {"a", "b"},
        "numbers": {Decimal(1), Decimal("2.5")},
        "blobs": {b"a", b"b"},
    }
    serialize, deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize
    sent = key("MSFT") | {name: serialize(value) for name, value in values.items()}
    dynamodb.put_item(TableName=table, Item=sent)
    got = dynamodb.get_item(TableName=table, Key=key("MSFT"))["Item"]
    plain = {name: deserialize(value) for name, value in got.items()}
    assert {name: plain[name] for name in values if name not in ("bytes", "blobs", "list")} == {
        name: value for name, value in values.items() if name not in ("bytes", "blobs", "list")
    }
    assert (got["bytes"]["B"], set(got["blobs"]["BS"])) == (b"\x00\xff", {b"a", b"b"})
    assert "Item" not in dynamodb.get_item(TableName=table, Key=key("none"))


def test_conditions_and_old_values(dynamodb, table):
    put = {"TableName": table, "ConditionExpression": "attribute_not_exists(symbol)"}
    dynamodb.put_item(Item=item("MSFT", 1), **put)
    refused(
        "ConditionalCheckFailedException",
        "The conditional request failed",
        dynamodb.put_item,
        Item=item("MSFT", 2),
        **put,
    )
    with pytest.raises(ClientError) as caught:
        dynamodb.put_item(Item=item("MSFT", 2), ReturnValuesOnConditionCheckFailure="ALL_OLD", **put)
    assert caught.value.response["Item"] == item("MSFT", 1)
    old = dynamodb.put_item(TableName=table, Item=item("MSFT", 3), ReturnValues="ALL_OLD")
    assert old["Attributes"] == item("MSFT", 1)
    gone = dynamodb.delete_item(TableName=table, Key=key("MSFT"), ReturnValues="ALL_OLD")
    assert gone["Attributes"] == item("MSFT", 3)
    assert "Attributes" not in dynamodb.delete_item(TableName=table, Key=key("MSFT"), ReturnValues="ALL_OLD")


def test_updates(dynamodb, table):
    updated = dynamodb.update_item(
        TableName=table,
        Key=key("MSFT"),
        UpdateExpression="SET #n = if_not_exists(#n, :zero) + :five, tags = :tags",
        ExpressionAttributeNames={"#n": "count"},
        ExpressionAttributeValues={":zero": {"N": "0"}, ":five": {"N": "5"}, ":tags": {"L": [{"S": "a"}]}},
        ReturnValues="ALL_NEW",
    )
    assert updated["Attributes"] == key("MSFT") | {"count": {"N": "5"}, "tags": {"L": [{"S": "a"}]}}
    removed = dynamodb.update_item(
        TableName=table, Key=key("MSFT"), UpdateExpression="REMOVE tags[0]", ReturnValues="UPDATED_OLD"
    )
    assert removed["Attributes"] == {"tags": {"L": [{"S": "a"}]}}
    refused(
        "ValidationException",
        "One or more parameter values were invalid: Cannot update attribute symbol. This attribute is part of the key",
        dynamodb.update_item,
        TableName=table,
        Key=key("MSFT"),
        UpdateExpression="SET symbol = :s",
        ExpressionAttributeValues={":s": {"S": "x"}},
    )


def test_updates_answer_in_five_forms(dynamodb, table):
    before = key("MSFT") | {
        "a": {"M": {"b": {"N": "1"}, "c": {"L": [{"N": "2"}, {"N": "3"}]}}},
        "set": {"SS": ["x", "y"]},
        "gone": {"S": "g"},
    }
    after = key("MSFT") | {
        "a": {"M": {"b": {"N": "11"}, "c": {"L": [{"N": "2"}, {"N": "4"}]}}},
        "set": {"SS": ["x"]},
        "more": {"L": [{"S": "m"}, {"S": "n"}]},
        "sum": {"N": "10"},
    }
    update = {
        "UpdateExpression": "SET a.b = a.b + :ten, a.c[1] = :ten - :six, more = list_append(:m, :n) REMOVE gone "
        "ADD #sum :ten DELETE #set :y",
        "ExpressionAttributeNames": {"#sum": "sum", "#set": "set"},
        "ExpressionAttributeValues": {
            ":ten": {"N": "10"}, ":six": {"N": "6"}, ":m": {"L": [{"S": "m"}]}, ":n": {"L": [{"S": "n"}]},
            ":y": {"SS": ["y"]},
        },
    }
    touched_old = {"a": {"M": {"b": {"N": "1"}, "c": {"L": [{"N": "3"}]}}}, "set": before["set"], "gone": before["gone"]}
    touched_new = {"a": {"M": {"b": {"N": "11"}, "c": {"L": [{"N": "4"}]}}}} | {
        name: after[name] for name in ("set", "more", "sum")
    }
    for form, shown in [
        ("NONE", None), ("ALL_OLD", before), ("ALL_NEW", after), ("UPDATED_OLD", touched_old), ("UPDATED_NEW", touched_new),
    ]:
        dynamodb.put_item(TableName=table, Item=before)
        updated = dynamodb.update_item(TableName=table, Key=key("MSFT"), ReturnValues=form, **update)
        assert updated.get("Attributes") == shown, form
        assert dynamodb.get_item(TableName=table, Key=key("MSFT"))["Item"] == after
    with pytest.raises(ClientError) as caught:
        dynamodb.update_item(TableName=table, Key=key("MSFT"), ConditionExpression="a.b < :ten",
                             ReturnValuesOnConditionCheckFailure="ALL_OLD", **update)
    assert caught.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert caught.value.response["Item"] == after
    for bad, message in [
        ({"UpdateExpression": "SET n = :v"}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"),
        ({"UpdateExpression": "SET n = :v, m = :w", "ExpressionAttributeNames": {"#x": "x"}},
         "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}"),
        ({"UpdateExpression": "SET n = :v, n.m = :w"}, "Invalid UpdateExpression: Two document paths overlap with each "
         "other; must remove or rewrite one of these paths; path one: [n], path two: [n, m]"),
        ({"UpdateExpression": "SET nowhere.m = :v, m = :w"},
         "The document path provided in the update expression is invalid for update"),
    ]:
        values = {":v": {"N": "1"}, ":w": {"N": "2"}}
        refused("ValidationException", message, dynamodb.update_item, TableName=table, Key=key("MSFT"),
                ExpressionAttributeValues=values, **bad)


def test_transactions(dynamodb, table):
    put = lambda symbol, number, **more: {"Put": {"TableName": table, "Item": item(symbol, number), **more}}
    check = lambda symbol, condition, **more: {
        "ConditionCheck": {"TableName": table, "Key": key(symbol), "ConditionExpression": condition, **more}}
    dynamodb.transact_write_items(TransactItems=[put("A", 1), put("B", 2), check("C", "attribute_not_exists(symbol)")])
    with pytest.raises(ClientError) as caught:
        dynamodb.transact_write_items(TransactItems=[
            put("C", 3), check("A", "shareChange > shareChange", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
            {"Update": {"TableName": table, "Key": key("B"), "UpdateExpression": "SET shareChange = absent"}}])
    error = caught.value.response
    assert error["Error"]["Code"] == "TransactionCanceledException"
    assert error["Error"]["Message"].endswith("specific reasons [None, ConditionalCheckFailed, ValidationError]")
    assert [reason["Code"] for reason in error["CancellationReasons"]] == ["None", "ConditionalCheckFailed", "ValidationError"]
    assert error["CancellationReasons"][1]["Item"] == item("A", 1)
    got = dynamodb.transact_get_items(TransactItems=[
        {"Get": {"TableName": table, "Key": key(symbol), "ProjectionExpression": "shareChange"}} for symbol in "ABC"])
    assert got["Responses"] == [{"Item": {"shareChange": {"N": "1"}}}, {"Item": {"shareChange": {"N": "2"}}}, {}]

    token = uuid.uuid4().hex
    add = {"Update": {"TableName": table, "Key": key("A"), "UpdateExpression": "ADD shareChange :five",
                      "ExpressionAttributeValues": {":five": {"N": "5"}}}}
    for _ in range(2):
        dynamodb.transact_write_items(TransactItems=[add], ClientRequestToken=token)
    assert dynamodb.get_item(TableName=table, Key=key("A"))["Item"] == item("A", 6)
    with pytest.raises(ClientError) as caught:
        dynamodb.transact_write_items(TransactItems=[add, put("D", 1)], ClientRequestToken=token)
    assert caught.value.response["Error"]["Code"] == "IdempotentParameterMismatchException"
    refused("ValidationException", "Transaction request cannot include multiple operations on one item",
            dynamodb.transact_write_items, TransactItems=[put("A", 1), add])


def test_time_to_live_tags_and_limits(dynamodb, table):
    assert dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    wanted = {"Enabled": True, "AttributeName": "until"}
    assert dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)["TimeToLiveSpecification"] == wanted
    assert dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED", "AttributeName": "until"}
    refused("ValidationException", "TimeToLive is already enabled", dynamodb.update_time_to_live, TableName=table,
            TimeToLiveSpecification=wanted)
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert dynamodb.describe_limits()["TableMaxReadCapacityUnits"] > 0
    assert dynamodb.describe_endpoints()["Endpoints"][0]["Address"].startswith("dynamodb.")


def test_pages_end_at_a_megabyte(dynamodb, table):
    for number in range(8):
        dynamodb.put_item(TableName=table, Item=item(f"S{number}", number) | {"filling": {"S": "x" * 300_000}})
    pages = list(dynamodb.get_paginator("scan").paginate(TableName=table))
    assert [page["Count"] for page in pages] == [4, 4] or [page["Count"] for page in pages] == [4, 4, 0]
    query = {"TableName": table, "KeyConditionExpression": "#t = :t", "ExpressionAttributeNames": {"#t": "timestamp"},
             "ExpressionAttributeValues": {":t": {"S": TIME}, ":low": {"N": "6"}}, "FilterExpression": "shareChange >= :low"}
    counted = dynamodb.query(Select="COUNT", **query)
    assert (counted["Count"], counted["ScannedCount"]) == (0, 4)
    last = counted["LastEvaluatedKey"]
    counted = dynamodb.query(Select="COUNT", ExclusiveStartKey=last, **query)
    assert (counted["Count"], counted["ScannedCount"]) == (2, 4)


def test_queries_page_in_both_directions(dynamodb, table):
    symbols = [f"S{number:02}" for number in range(12)]
    for symbol in symbols:
        dynamodb.put_item(TableName=table, Item=item(symbol, 1))
    dynamodb.put_item(TableName=table, Item=item("S00", 1, "another minute"))
    query = {
        "TableName": table,
        "KeyConditionExpression": "#t = :t",
        "ExpressionAttributeNames": {"#t": "timestamp"},
        "ExpressionAttributeValues": {":t": {"S": TIME}},
    }
    for forward in (True, False):
        pages = dynamodb.get_paginator("query").paginate(
            **query, ScanIndexForward=forward, PaginationConfig={"PageSize": 5}
        )
        found = [one["symbol"]["S"] for page in pages for one in page["Items"]]
        assert found == (symbols if forward else symbols[::-1])
    for condition, values, expected in [
        ("begins_with(symbol, :a)", {":a": {"S": "S0"}}, symbols[:10]),
        ("symbol BETWEEN :a AND :b", {":a": {"S": "S03"}, ":b": {"S": "S05"}}, symbols[3:6]),
        ("symbol > :a", {":a": {"S": "S09"}}, symbols[10:]),
        ("symbol <= :a", {":a": {"S": "S01"}}, symbols[:2]),
    ]:
        ranged = query | {
            "KeyConditionExpression": f"#t = :t AND {condition}",
            "ExpressionAttributeValues": {":t": {"S": TIME}} | values,
        }
        assert [one["symbol"]["S"] for one in dynamodb.query(**ranged)["Items"]] == expected
    counted = dynamodb.query(**query, Select="COUNT")
    assert (counted["Count"], counted["ScannedCount"]) == (12, 12)
    refused(
        "ValidationException",
        "Query condition missed key schema element: timestamp",
        dynamodb.query,
        TableName=table,
        KeyConditionExpression="symbol = :s",
        ExpressionAttributeValues={":s": {"S": "x"}},
    )


def test_scans_filter_project_and_split(dynamodb, table):
    for number in range(30):
        dynamodb.put_item(TableName=table, Item=item(f"S{number:02}", number, f"minute {number}"))
    filtered = dynamodb.scan(
        TableName=table,
        FilterExpression="shareChange >= :low",
        ProjectionExpression="symbol",
        ExpressionAttributeValues={":low": {"N": "20"}},
    )
    assert (filtered["Count"], filtered["ScannedCount"]) == (10, 30)
    assert all(set(one) == {"symbol"} for one in filtered["Items"])
    split = [
        one["symbol"]["S"]
        for segment in range(3)
        for page in dynamodb.get_paginator("scan").paginate(
            TableName=table, Segment=segment, TotalSegments=3, PaginationConfig={"PageSize": 4}
        )
        for one in page["Items"]
    ]
    assert sorted(split) == [f"S{number:02}" for number in range(30)]


def test_batches(dynamodb, table):
    writes = [{"PutRequest": {"Item": item(f"S{number:02}", number)}} for number in range(25)]
    assert dynamodb.batch_write_item(RequestItems={table: writes})["UnprocessedItems"] == {}
    keys = [key("S00"), key("S24"), key("none")]
    found = dynamodb.batch_get_item(RequestItems={table: {"Keys": keys}})
    assert sorted(one["symbol"]["S"] for one in found["Responses"][table]) == ["S00", "S24"]
    dynamodb.batch_write_item(RequestItems={table: [{"DeleteRequest": {"Key": key("S00")}}]})
    assert "Item" not in dynamodb.get_item(TableName=table, Key=key("S00"))
    refused(
        "ValidationException",
        "Provided list of item keys contains duplicates",
        dynamodb.batch_write_item,
        RequestItems={table: [writes[1], writes[1]]},
    )
    with pytest.raises(ClientError) as caught:
        dynamodb.batch_write_item(
            RequestItems={table: [*writes, {"PutRequest": {"Item": item("S25", 25)}}]}
        )
    message = caught.value.response["Error"]["Message"]
    assert message.startswith("1 validation error detected: Value '{")
    assert message.endswith(
        "}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: "
        "[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]"
    )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            {"timestamp": {"S": TIME}},
            "One or more parameter values were invalid: Missing the key symbol in the item",
        ),
        (
            key("MSFT") | {"symbol": {"N": "1"}},
            "One or more parameter values were invalid: Type mismatch for key symbol expected: S actual: N",
        ),
        (
            key(""),
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty"
            " string value. Key: symbol",
        ),
        (key("MSFT") | {"n": {"N": "abc"}}, "The parameter cannot be converted to a numeric value: abc"),
        (
            key("MSFT") | {"n": {"N": "1" * 39}},
            "Attempting to store more than 38 significant digits in a Number",
        ),
        (
            key("MSFT") | {"s": {"SS": ["a", "a"]}},
            "One or more parameter values were invalid: Input collection [a, a] contains duplicates.",
        ),
        (key("MSFT") | {"t": {"S": "x" * 410_000}}, "Item size has exceeded the maximum allowed size"),
    ],
    ids=["missing", "type", "empty", "number", "digits", "duplicates", "size"],
)
def test_items_that_cannot_be(dynamodb, table, bad, message):
    refused("ValidationException", message, dynamodb.put_item, TableName=table, Item=bad)


def test_tables_and_keys_that_are_not_there(dynamodb, table):
    refused(
        "ResourceNotFoundException",
        "Requested resource not found",
        dynamodb.put_item,
        TableName="no-such-table",
        Item=item("MSFT", 1),
    )
    refused(
        "ValidationException",
        "The provided key element does not match the schema",
        dynamodb.get_item,
        TableName=table,
        Key={"timestamp": {"S": TIME}},
    )
    refused(
        "ResourceInUseException",
        f"Table already exists: {table}",
        dynamodb.create_table,
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )


def test_a_description_tells_how_much_there_is(dynamodb):
    name = f"counted-{uuid.uuid4().hex[:8]}"
    made = dynamodb.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", SSESpecification={"Enabled": False},
        AttributeDefinitions=[{"AttributeName": a, "AttributeType": "S"} for a in ("id", "kind")],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[{"IndexName": "by-kind", "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                                 "Projection": {"ProjectionType": "KEYS_ONLY"}}])["TableDescription"]
    assert (made["ItemCount"], made["TableSizeBytes"]) == (0, 0)
    dynamodb.put_item(TableName=name, Item={"id": {"S": "1"}, "kind": {"S": "x"}, "more": {"S": "12345"}})
    dynamodb.put_item(TableName=name, Item={"id": {"S": "2"}})

    def counted(items):
        deadline = time.monotonic() + 30
        while True:
            found = dynamodb.describe_table(TableName=name)["Table"]
            if found["ItemCount"] == items or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    found = counted(2)
    # Names and values: id1, kindx, more12345; id2.
    assert (found["ItemCount"], found["TableSizeBytes"]) == (2, 3 + 5 + 9 + 3)
    [index] = found["GlobalSecondaryIndexes"]
    assert (index["ItemCount"], index["IndexSizeBytes"]) == (1, 3 + 5)
    dynamodb.delete_item(TableName=name, Key={"id": {"S": "1"}})
    assert counted(1)["GlobalSecondaryIndexes"][0]["ItemCount"] == 0
    dynamodb.delete_table(TableName=name)


def test_encryption_with_a_key_of_ones_own_is_refused(dynamodb, table):
    message = 'SSESpecification is not supported by this node unless it is {"Enabled": false}'
    refused("ValidationException", message, dynamodb.update_table, TableName=table, SSESpecification={"Enabled": True})
    dynamodb.update_table(TableName=table, SSESpecification={"Enabled": False})
