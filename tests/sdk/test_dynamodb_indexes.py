"""Secondary indexes of DynamoDB tables through an unmodified boto3."""

import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import until


@pytest.fixture
def table(dynamodb):
    """Trades by time and symbol; globally by symbol and price, locally by price."""
    name = f"indexed-{uuid.uuid4().hex[:8]}"
    attribute = lambda name, kind: {"AttributeName": name, "AttributeType": kind}
    schema = lambda hash_key, sort_key: [
        {"AttributeName": hash_key, "KeyType": "HASH"}, {"AttributeName": sort_key, "KeyType": "RANGE"}]
    described = dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[attribute("minute", "S"), attribute("symbol", "S"), attribute("price", "N")],
        KeySchema=schema("minute", "symbol"),
        GlobalSecondaryIndexes=[{
            "IndexName": "by-symbol", "KeySchema": schema("symbol", "price"),
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["shares"]}}],
        LocalSecondaryIndexes=[{
            "IndexName": "by-price", "KeySchema": schema("minute", "price"), "Projection": {"ProjectionType": "KEYS_ONLY"}}],
    )["TableDescription"]
    [of_symbol], [of_price] = described["GlobalSecondaryIndexes"], described["LocalSecondaryIndexes"]
    assert (of_symbol["IndexName"], of_symbol["IndexStatus"]) == ("by-symbol", "ACTIVE")
    assert of_symbol["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["shares"]}
    assert of_price["KeySchema"] == schema("minute", "price")
    assert sorted(one["AttributeName"] for one in described["AttributeDefinitions"]) == ["minute", "price", "symbol"]
    yield name
    dynamodb.delete_table(TableName=name)


def trade(minute, symbol, price=None, **more):
    item = {"minute": {"S": minute}, "symbol": {"S": symbol}, "shares": {"N": "1"}, "note": {"S": "n"}, **more}
    return item if price is None else item | {"price": {"N": str(price)}}


def of_symbol(table, **more):
    return {"TableName": table, "IndexName": "by-symbol", "KeyConditionExpression": "symbol = :s",
            "ExpressionAttributeValues": {":s": {"S": "MSFT"}}, **more}


def prices(items):
    return [int(item["price"]["N"]) for item in items]


def test_a_global_index_is_queried_in_its_own_order(dynamodb, table):
    for minute, price in enumerate([30, -5, 100, 30, 7]):
        dynamodb.put_item(TableName=table, Item=trade(f"m{minute}", "MSFT", price))
    dynamodb.put_item(TableName=table, Item=trade("m0", "AMZN", 1))
    dynamodb.put_item(TableName=table, Item=trade("m9", "MSFT"))
    assert prices(dynamodb.query(**of_symbol(table))["Items"]) == [-5, 7, 30, 30, 100]
    assert prices(dynamodb.query(**of_symbol(table, ScanIndexForward=False))["Items"]) == [100, 30, 30, 7, -5]
    pages = list(dynamodb.get_paginator("query").paginate(**of_symbol(table), PaginationConfig={"PageSize": 2}))
    assert [prices(page["Items"]) for page in pages] == [[-5, 7], [30, 30], [100]]
    assert set(pages[0]["LastEvaluatedKey"]) == {"minute", "symbol", "price"}
    assert set(pages[0]["Items"][0]) == {"minute", "symbol", "price", "shares"}
    for condition, expected in [("price > :p", [100]), ("price >= :p", [30, 30, 100]), ("price < :p", [-5, 7]),
                                ("price = :p", [30, 30]), ("price BETWEEN :p AND :p", [30, 30])]:
        query = of_symbol(table, KeyConditionExpression=f"symbol = :s AND {condition}")
        query["ExpressionAttributeValues"][":p"] = {"N": "30"}
        assert prices(dynamodb.query(**query)["Items"]) == expected, condition
    assert dynamodb.scan(TableName=table, IndexName="by-symbol", Select="COUNT")["Count"] == 6
    dynamodb.update_item(TableName=table, Key={"minute": {"S": "m2"}, "symbol": {"S": "MSFT"}},
                         UpdateExpression="SET price = :p", ExpressionAttributeValues={":p": {"N": "1"}})
    dynamodb.delete_item(TableName=table, Key={"minute": {"S": "m1"}, "symbol": {"S": "MSFT"}})
    assert prices(dynamodb.query(**of_symbol(table))["Items"]) == [1, 7, 30, 30]


def test_a_local_index_gives_whole_items(dynamodb, table):
    for symbol, price in [("A", 3), ("B", 1), ("C", 2)]:
        dynamodb.put_item(TableName=table, Item=trade("m", symbol, price))
    query = {"TableName": table, "IndexName": "by-price", "KeyConditionExpression": "#m = :m",
             "ExpressionAttributeNames": {"#m": "minute"}, "ExpressionAttributeValues": {":m": {"S": "m"}}}
    found = dynamodb.query(ConsistentRead=True, **query)["Items"]
    assert prices(found) == [1, 2, 3] and set(found[0]) == {"minute", "symbol", "price"}
    assert dynamodb.query(Select="ALL_ATTRIBUTES", **query)["Items"][0] == trade("m", "B", 1)
    assert dynamodb.query(ProjectionExpression="note", **query)["Items"] == [{"note": {"S": "n"}}] * 3


def test_what_an_index_cannot_do_is_refused(dynamodb, table):
    for message, call in [
        ("Consistent reads are not supported on global secondary indexes",
         lambda: dynamodb.query(**of_symbol(table, ConsistentRead=True))),
        ("Select type ALL_ATTRIBUTES is not supported for global secondary index by-symbol",
         lambda: dynamodb.query(**of_symbol(table, Select="ALL_ATTRIBUTES"))),
        (r"Global secondary index by-symbol does not project \[note\]",
         lambda: dynamodb.query(**of_symbol(table, ProjectionExpression="note"))),
        ("The table does not have the specified index: other",
         lambda: dynamodb.query(**of_symbol(table) | {"IndexName": "other"})),
        ("Type mismatch for Index Key price Expected: N Actual: S IndexName: by-symbol",
         lambda: dynamodb.put_item(TableName=table, Item=trade("m", "MSFT") | {"price": {"S": "1"}})),
    ]:
        with pytest.raises(ClientError, match=message) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "ValidationException"


def described(dynamodb, table, index):
    """A table's status, and an index of it if it is there."""
    found = dynamodb.describe_table(TableName=table)["Table"]
    of_name = [one for one in found.get("GlobalSecondaryIndexes", []) if one["IndexName"] == index]
    return found["TableStatus"], (of_name or [None])[0]


def by_note(**more):
    return {"IndexName": "by-note", "KeySchema": [{"AttributeName": "note", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"}, **more}


NOTE = [{"AttributeName": "note", "AttributeType": "S"}]


def of_note(table):
    return {"TableName": table, "IndexName": "by-note", "KeyConditionExpression": "note = :n",
            "ExpressionAttributeValues": {":n": {"S": "n"}}}


def test_indexes_are_made_and_removed_while_the_table_is_used(dynamodb, table):
    for minute in range(150):
        dynamodb.put_item(TableName=table, Item=trade(f"m{minute:03}", "MSFT", minute))
    make = {"TableName": table, "AttributeDefinitions": NOTE, "GlobalSecondaryIndexUpdates": [{"Create": by_note()}]}
    answer = dynamodb.update_table(**make)["TableDescription"]
    [made] = [one for one in answer["GlobalSecondaryIndexes"] if one["IndexName"] == "by-note"]
    assert (answer["TableStatus"], made["IndexStatus"], made["Backfilling"]) == ("UPDATING", "CREATING", True)
    dynamodb.put_item(TableName=table, Item=trade("later", "AMZN"))
    until(lambda: described(dynamodb, table, "by-note")[1]["IndexStatus"] == "ACTIVE")
    assert described(dynamodb, table, "by-note")[0] == "ACTIVE"
    assert dynamodb.query(**of_note(table))["Count"] == 151
    dynamodb.delete_item(TableName=table, Key={"minute": {"S": "m000"}, "symbol": {"S": "MSFT"}})
    assert dynamodb.query(**of_note(table))["Count"] == 150
    refused(lambda: dynamodb.update_table(**make), "ValidationException", "Attempting to create an index which already exists")
    remove = [{"Delete": {"IndexName": "by-note"}}]
    answer = dynamodb.update_table(TableName=table, GlobalSecondaryIndexUpdates=remove)["TableDescription"]
    assert answer["TableStatus"] == "UPDATING"
    refused(lambda: dynamodb.query(**of_note(table)), "ValidationException",
            "The table does not have the specified index: by-note")
    until(lambda: described(dynamodb, table, "by-note") == ("ACTIVE", None))
    assert len(prices(dynamodb.query(**of_symbol(table))["Items"])) == 149, "the other index is as it was"


def refused(call, code, message):
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (code, message)


def test_changes_of_indexes_that_cannot_be_are_refused(dynamodb, table):
    update = lambda *changes, **more: lambda: dynamodb.update_table(
        TableName=table, AttributeDefinitions=NOTE, GlobalSecondaryIndexUpdates=list(changes), **more)
    no_throughput = "ProvisionedThroughput must be specified for an index of a table with it, and for no other: by-note"
    throughput = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    remove = {"Delete": {"IndexName": "by-symbol"}}
    invalid = "One or more parameter values were invalid: "
    for call, code, message in [
        (update({"Delete": {"IndexName": "none"}}), "ResourceNotFoundException", "Requested resource not found"),
        (update({"Delete": {"IndexName": "by-price"}}), "ResourceNotFoundException", "Requested resource not found"),
        (update(remove, {"Create": by_note()}), "LimitExceededException",
         "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"),
        (update({}), "ValidationException",
         invalid + "a GlobalSecondaryIndexUpdate must have exactly one of Create, Update and Delete"),
        (update({"Create": by_note(ProvisionedThroughput=throughput)}), "ValidationException", invalid + no_throughput),
        (update({"Update": {"IndexName": "by-symbol", "ProvisionedThroughput": throughput}}), "ValidationException",
         invalid + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"),
        (update(remove, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}), "ValidationException",
         invalid + "You cannot create or delete an index while modifying anything else of the table"),
    ]:
        refused(call, code, message)
    assert described(dynamodb, table, "by-symbol")[1]["IndexStatus"] == "ACTIVE"


def test_an_index_begun_before_a_kill_is_filled_after_it(node):
    dynamodb = node.client("dynamodb")
    dynamodb.create_table(TableName="killed", BillingMode="PROVISIONED",
                          ProvisionedThroughput={"ReadCapacityUnits": 100, "WriteCapacityUnits": 100},
                          AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                          KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    for number in range(20):
        dynamodb.put_item(TableName="killed", Item={"id": {"S": str(number)}, "note": {"S": "n"}})
    throughput = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4}
    dynamodb.update_table(TableName="killed", AttributeDefinitions=NOTE,
                          GlobalSecondaryIndexUpdates=[{"Create": by_note(ProvisionedThroughput=throughput)}])
    node.kill()
    node.start()
    dynamodb = node.client("dynamodb")
    until(lambda: described(dynamodb, "killed", "by-note")[1]["IndexStatus"] == "ACTIVE")
    assert dynamodb.query(**of_note("killed"))["Count"] == 20
    change = {"Update": {"IndexName": "by-note", "ProvisionedThroughput": throughput | {"ReadCapacityUnits": 9}}}
    dynamodb.update_table(TableName="killed", GlobalSecondaryIndexUpdates=[change])
    told = described(dynamodb, "killed", "by-note")[1]["ProvisionedThroughput"]
    assert (told["ReadCapacityUnits"], told["WriteCapacityUnits"]) == (9, 4)
