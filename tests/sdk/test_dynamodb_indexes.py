"""Secondary indexes of DynamoDB tables through an unmodified boto3."""

import uuid

import pytest
from botocore.exceptions import ClientError


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
        ("GlobalSecondaryIndexUpdates is not supported by this node",
         lambda: dynamodb.update_table(TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-symbol"}}])),
    ]:
        with pytest.raises(ClientError, match=message) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "ValidationException"
