"""The parameters of DynamoDB from before expressions, through an unmodified boto3."""

import uuid

import pytest
from botocore.exceptions import ClientError

MIXED = "Can not use both expression and non-expression parameters in the same request: "
INVALID = "One or more parameter values were invalid: "


@pytest.fixture(scope="module")
def table(dynamodb):
    """Items by hash key `h` and sort key `n`, a number."""
    name = f"older-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "h", "AttributeType": "S"}, {"AttributeName": "n", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "h", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
    )
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def key():
    """The key of an item of this test alone."""
    return {"h": {"S": uuid.uuid4().hex}, "n": {"N": "1"}}


def condition(operator, *values):
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)} if values else {"ComparisonOperator": operator}


def refused(call, message, code="ValidationException"):
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (code, message)


def read(dynamodb, table, key):
    return dynamodb.get_item(TableName=table, Key=key).get("Item")


def test_attributes_to_get_show_parts_of_items(dynamodb, table, key):
    dynamodb.put_item(TableName=table, Item=key | {"a": {"S": "x"}, "a.b": {"S": "dotted"}, "c": {"N": "1"}})
    asked = {"Key": key, "AttributesToGet": ["a.b", "absent"]}
    assert dynamodb.get_item(TableName=table, **asked)["Item"] == {"a.b": {"S": "dotted"}}
    got = dynamodb.batch_get_item(RequestItems={table: {"Keys": [key], "AttributesToGet": ["c"]}})
    assert got["Responses"][table] == [{"c": {"N": "1"}}]
    query = {"TableName": table, "KeyConditions": {"h": condition("EQ", key["h"])}, "AttributesToGet": ["a", "n"]}
    assert dynamodb.query(**query)["Items"] == [{"a": {"S": "x"}, "n": {"N": "1"}}]
    scan = {"TableName": table, "ScanFilter": {"h": condition("EQ", key["h"])}, "AttributesToGet": ["a"]}
    assert dynamodb.scan(**scan, Select="SPECIFIC_ATTRIBUTES")["Items"] == [{"a": {"S": "x"}}]
    refused(lambda: dynamodb.query(**query, Select="COUNT"),
            "Cannot specify the AttributesToGet when choosing to get COUNT")
    refused(lambda: dynamodb.get_item(TableName=table, Key=key, AttributesToGet=["a", "b", "a"]),
            INVALID + "Duplicate value in attribute name: a")
    refused(lambda: dynamodb.get_item(TableName=table, Key=key, AttributesToGet=["a"], ProjectionExpression="a"),
            MIXED + "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}")
    both = {"Keys": [key], "AttributesToGet": ["c"], "ProjectionExpression": "c"}
    refused(lambda: dynamodb.batch_get_item(RequestItems={table: both}),
            MIXED + "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}")


def test_key_conditions_give_ranges(dynamodb, table, key):
    for number in range(6):
        dynamodb.put_item(TableName=table, Item=key | {"n": {"N": str(number)}, "odd": {"BOOL": number % 2 == 1}})

    def numbers(*sort, **more):
        conditions = {"h": condition("EQ", key["h"])} | ({"n": condition(*sort)} if sort else {})
        return [int(item["n"]["N"]) for item in dynamodb.query(TableName=table, KeyConditions=conditions, **more)["Items"]]

    three = {"N": "3"}
    assert numbers() == [0, 1, 2, 3, 4, 5] and numbers(ScanIndexForward=False) == [5, 4, 3, 2, 1, 0]
    for operator, expected in [("EQ", [3]), ("LT", [0, 1, 2]), ("LE", [0, 1, 2, 3]), ("GT", [4, 5]), ("GE", [3, 4, 5])]:
        assert numbers(operator, three) == expected, operator
    assert numbers("BETWEEN", {"N": "1"}, three) == [1, 2, 3]
    assert numbers(QueryFilter={"odd": condition("EQ", {"BOOL": True})}) == [1, 3, 5]
    # Older key conditions may stand beside newer filters.
    assert numbers(FilterExpression="odd = :yes", ExpressionAttributeValues={":yes": {"BOOL": False}}) == [0, 2, 4]


def test_queries_that_cannot_be_are_refused(dynamodb, table):
    eq, one = condition("EQ", {"S": "x"}), {"N": "1"}
    query = lambda conditions, **more: lambda: dynamodb.query(TableName=table, KeyConditions=conditions, **more)
    for call, message in [
        (query({"n": condition("EQ", one)}), "Query condition missed key schema element: h"),
        (query({"h": eq, "other": condition("EQ", one)}), "Query condition missed key schema element: n"),
        (query({"h": condition("GT", {"S": "x"})}), "Query key condition not supported"),
        (query({"h": condition("EQ", one)}), INVALID + "Condition parameter type does not match schema type"),
        (query({"h": eq, "n": condition("NE", one)}), "Attempted conditional constraint is not an indexable operation"),
        (query({"h": eq, "n": condition("IN", one)}), "Attempted conditional constraint is not an indexable operation"),
        (query({}), "Conditions can be of length 1 or 2 only"),
        (query({"h": eq, "n": condition("BETWEEN", {"N": "2"}, one)}),
         "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"),
        (query({"h": eq, "n": condition("BETWEEN", one)}),
         INVALID + "Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
        (query({"h": eq}, QueryFilter={"n": condition("EQ", one)}),
         "QueryFilter can only contain non-primary key attributes: Primary key attribute: n"),
        (query({"h": eq}, ConditionalOperator="AND"), "ConditionalOperator cannot be used without Filter or Expected"),
        (query({"h": eq}, QueryFilter={"a": condition("EQ", one)}, ConditionalOperator="OR"),
         "ConditionalOperator can only be used when Filter or Expected has two or more elements"),
        (query({"h": eq}, QueryFilter={"a": condition("EQ", one)}, ConditionalOperator="AND", FilterExpression="a = :p",
               ProjectionExpression="b", KeyConditionExpression="h = :p", ExpressionAttributeValues={":p": {"S": "k"}}),
         MIXED + "Non-expression parameters: {QueryFilter, ConditionalOperator, KeyConditions} Expression parameters: "
         "{ProjectionExpression, FilterExpression, KeyConditionExpression}"),
        (query({"h": condition("SOME", one)}),
         "1 validation error detected: Value 'SOME' at 'keyConditions.h.member.comparisonOperator' failed to satisfy "
         "constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, "
         "BEGINS_WITH, GE, CONTAINS]"),
        (lambda: dynamodb.query(TableName=table),
         "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."),
    ]:
        refused(call, message)


def test_filters_compare_as_expressions_do(dynamodb, table, key):
    items = {
        "1": {"s": {"S": "apple"}, "v": {"N": "5"}, "set": {"SS": ["a", "b"]}, "list": {"L": [{"N": "1"}]}},
        "2": {"s": {"S": "pear"}, "v": {"N": "7"}, "nothing": {"NULL": True}},
        "3": {"v": {"S": "5"}},
    }
    for number, item in items.items():
        dynamodb.put_item(TableName=table, Item=key | {"n": {"N": number}} | item)

    def found(operator=None, **filters):
        more = {"ConditionalOperator": operator} if operator else {}
        filters = {name: condition(*parts) for name, parts in filters.items()}
        whose = {"h": condition("EQ", key["h"])}
        queried = dynamodb.query(TableName=table, KeyConditions=whose, QueryFilter=filters, **more)["Items"]
        if operator is None:
            assert queried == dynamodb.scan(TableName=table, ScanFilter=whose | filters, **more)["Items"]
        return "".join(item["n"]["N"] for item in queried)

    for filters, expected in [
        ({"s": ("EQ", {"S": "pear"})}, "2"), ({"s": ("NE", {"S": "pear"})}, "13"), ({"v": ("GT", {"N": "5"})}, "2"),
        ({"v": ("LE", {"N": "5"})}, "1"), ({"v": ("IN", {"N": "7"}, {"N": "8"})}, "2"),
        ({"v": ("BETWEEN", {"N": "5"}, {"N": "6"})}, "1"), ({"s": ("BEGINS_WITH", {"S": "ap"})}, "1"),
        ({"s": ("CONTAINS", {"S": "ea"})}, "2"), ({"s": ("NOT_CONTAINS", {"S": "ea"})}, "1"),
        ({"set": ("CONTAINS", {"S": "a"})}, "1"), ({"list": ("CONTAINS", {"N": "1"})}, "1"),
        ({"set": ("EQ", {"SS": ["b", "a"]})}, "1"), ({"list": ("EQ", {"L": [{"N": "1.0"}]})}, "1"),
        ({"s": ("NULL",)}, "3"), ({"s": ("NOT_NULL",)}, "12"), ({"nothing": ("NOT_NULL",)}, "2"),
        ({"s": ("NOT_NULL",), "v": ("GT", {"N": "5"})}, "2"), ({}, "123"),
    ]:
        assert found(**filters) == expected, filters
    assert found("OR", s=("EQ", {"S": "apple"}), v=("GT", {"N": "6"})) == "12"
    assert found("AND", s=("EQ", {"S": "apple"}), v=("GT", {"N": "6"})) == ""
    # Many of them are no deep tree.
    many = {f"absent{number}": condition("NULL") for number in range(3_000)}
    whose = {"h": condition("EQ", key["h"])}
    assert dynamodb.scan(TableName=table, ScanFilter=whose | many, Select="COUNT")["Count"] == 3
    for filters, message in [
        ({"a": condition("LT", {"SS": ["a"]})}, "ComparisonOperator LT is not valid for SS AttributeValue type"),
        ({"a": condition("BEGINS_WITH", {"N": "1"})}, "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type"),
        ({"a": condition("CONTAINS", {"L": []})}, "ComparisonOperator CONTAINS is not valid for L AttributeValue type"),
        ({"a": condition("IN", {"N": "1"}, {"S": "1"})}, "AttributeValues inside AttributeValueList must be of same type"),
        ({"a": condition("IN")}, "Invalid number of argument(s) for the IN ComparisonOperator"),
        ({"a": condition("NULL", {"S": "x"})}, "Invalid number of argument(s) for the NULL ComparisonOperator"),
        ({"a": condition("EQ", {"S": "x"}, {"S": "y"})}, "Invalid number of argument(s) for the EQ ComparisonOperator"),
    ]:
        refused(lambda: dynamodb.scan(TableName=table, ScanFilter=filters), INVALID + message)
    refused(lambda: dynamodb.scan(TableName=table, ScanFilter={"a": condition("NULL")}, ProjectionExpression="b"),
            MIXED + "Non-expression parameters: {ScanFilter} Expression parameters: {ProjectionExpression}")


def test_expected_decides_whether_an_item_is_written(dynamodb, table, key):
    item = key | {"a": {"S": "x"}, "v": {"N": "5"}}
    absent = {"h": {"Exists": False}}
    dynamodb.put_item(TableName=table, Item=item, Expected=absent)
    failed = "The conditional request failed"
    refused(lambda: dynamodb.put_item(TableName=table, Item=item, Expected=absent), failed, "ConditionalCheckFailedException")
    for expected, holds in [
        ({"a": {"Value": {"S": "x"}}}, True), ({"a": {"Value": {"S": "x"}, "Exists": True}}, True),
        ({"a": {"Value": {"S": "y"}}}, False), ({"v": condition("GE", {"N": "5"})}, True),
        ({"v": {"ComparisonOperator": "GT", "Value": {"N": "5"}}}, False), ({"b": {"ComparisonOperator": "NULL"}}, True),
        ({"a": {"Value": {"S": "x"}}, "v": {"Value": {"N": "6"}}}, False), ({}, True),
    ]:
        put = lambda: dynamodb.put_item(TableName=table, Item=item, Expected=expected)
        if holds:
            put()
        else:
            refused(put, failed, "ConditionalCheckFailedException")
    either = {"a": {"Value": {"S": "x"}}, "v": {"Value": {"N": "6"}}}
    dynamodb.update_item(TableName=table, Key=key, Expected=either, ConditionalOperator="OR",
                         AttributeUpdates={"v": {"Action": "ADD", "Value": {"N": "1"}}})
    refused(lambda: dynamodb.delete_item(TableName=table, Key=key, Expected={"v": {"Value": {"N": "5"}}}), failed,
            "ConditionalCheckFailedException")
    gone = dynamodb.delete_item(TableName=table, Key=key, Expected={"v": {"Value": {"N": "6"}}}, ReturnValues="ALL_OLD")
    assert gone["Attributes"] == item | {"v": {"N": "6"}} and read(dynamodb, table, key) is None


def test_expectations_that_make_no_sense_are_refused(dynamodb, table, key):
    one = {"N": "1"}
    for expected, message in [
        ({"a": {}}, "Value must be provided when Exists is null for Attribute: a"),
        ({"a": {"Exists": True}}, "Value must be provided when Exists is true for Attribute: a"),
        ({"a": {"Exists": False, "Value": one}}, "Value cannot be used when Exists is false for Attribute: a"),
        ({"a": {"Value": one, "AttributeValueList": [one]}},
         "Value and AttributeValueList cannot be used together for Attribute: a"),
        ({"a": {"Exists": False, "ComparisonOperator": "NULL"}},
         "Exists and ComparisonOperator cannot be used together for Attribute: a"),
        ({"a": {"ComparisonOperator": "GT"}},
         "Value or AttributeValueList must be used with ComparisonOperator: GT for Attribute: a"),
        ({"a": {"AttributeValueList": [one]}}, "AttributeValueList can only be used with a ComparisonOperator for Attribute: a"),
        ({"a": condition("BETWEEN", one)}, "Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
    ]:
        for call in [lambda **more: dynamodb.put_item(TableName=table, Item=key, **more),
                     lambda **more: dynamodb.delete_item(TableName=table, Key=key, **more),
                     lambda **more: dynamodb.update_item(TableName=table, Key=key, **more)]:
            refused(lambda: call(Expected=expected), INVALID + message)
    refused(lambda: dynamodb.put_item(TableName=table, Item=key, Expected={"a": {"Exists": False}}, ConditionalOperator="OR",
                                      ConditionExpression="attribute_exists(h)"),
            MIXED + "Non-expression parameters: {Expected, ConditionalOperator} Expression parameters: {ConditionExpression}")
    refused(lambda: dynamodb.delete_item(TableName=table, Key=key, ConditionalOperator="AND"),
            "ConditionalOperator cannot be used without Filter or Expected")
    assert read(dynamodb, table, key) is None


def test_attribute_updates_change_items(dynamodb, table, key):
    before = key | {"n1": {"N": "5"}, "s": {"SS": ["a", "b"]}, "l": {"L": [{"S": "x"}]}, "gone": {"S": "y"}, "kept": {"S": "k"}}
    put = lambda value: {"Action": "PUT", "Value": value}
    add = lambda value: {"Action": "ADD", "Value": value}
    updates = {
        "n1": add({"N": "2"}), "n2": add({"N": "3"}), "s": {"Action": "DELETE", "Value": {"SS": ["a", "z"]}},
        "t": add({"SS": ["new"]}), "l": add({"L": [{"S": "y"}]}), "gone": {"Action": "DELETE"}, "p": {"Value": {"BOOL": True}},
        "q": put({"M": {"m": {"N": "1"}}}),
    }
    changed = {"n1": {"N": "7"}, "n2": {"N": "3"}, "s": {"SS": ["b"]}, "t": {"SS": ["new"]},
               "l": {"L": [{"S": "x"}, {"S": "y"}]}, "p": {"BOOL": True}, "q": {"M": {"m": {"N": "1"}}}}
    after = {name: value for name, value in before.items() if name != "gone"} | changed
    for form, shown in [("NONE", None), ("ALL_OLD", before), ("ALL_NEW", after), ("UPDATED_NEW", changed),
                        ("UPDATED_OLD", {name: before[name] for name in ("n1", "s", "l", "gone")})]:
        dynamodb.put_item(TableName=table, Item=before)
        answer = dynamodb.update_item(TableName=table, Key=key, AttributeUpdates=updates, ReturnValues=form)
        assert answer.get("Attributes") == shown, form
        assert read(dynamodb, table, key) == after


def test_updates_make_items_unless_they_only_take_away(dynamodb, table, key):
    for taking in [{"AttributeUpdates": {"a": {"Action": "DELETE"}, "s": {"Action": "DELETE", "Value": {"SS": ["x"]}}}},
                   {"UpdateExpression": "REMOVE a"}]:
        answer = dynamodb.update_item(TableName=table, Key=key, ReturnValues="ALL_NEW", **taking)
        assert "Attributes" not in answer and read(dynamodb, table, key) is None
    dynamodb.update_item(TableName=table, Key=key, AttributeUpdates={})
    assert read(dynamodb, table, key) == key


def test_updates_that_do_not_fit_are_refused(dynamodb, table, key):
    dynamodb.put_item(TableName=table, Item=key | {"a": {"S": "x"}})
    update = lambda change, **more: lambda: dynamodb.update_item(TableName=table, Key=key, AttributeUpdates=change, **more)
    for call, message in [
        (update({"a": {"Action": "PUT"}}), INVALID + "Only DELETE action is allowed when no attribute value is specified"),
        (update({"a": {"Action": "ADD", "Value": {"S": "y"}}}), INVALID + "ADD action is not supported for the type S"),
        (update({"a": {"Action": "DELETE", "Value": {"N": "1"}}}),
         INVALID + "DELETE action with value is not supported for the type N"),
        (update({"a": {"Action": "ADD", "Value": {"N": "1"}}}), "Type mismatch for attribute to update"),
        (update({"n": {"Action": "PUT", "Value": {"N": "2"}}}),
         INVALID + "Cannot update attribute n. This attribute is part of the key"),
        (update({"a": {"Action": "TAKE"}}),
         "1 validation error detected: Value 'TAKE' at 'attributeUpdates.a.member.action' failed to satisfy constraint: "
         "Member must satisfy enum value set: [ADD, PUT, DELETE]"),
        (update({"a": {"Action": "DELETE"}}, Expected={"a": {"Exists": False}}, ConditionalOperator="AND",
                UpdateExpression="REMOVE a", ConditionExpression="attribute_exists(h)"),
         MIXED + "Non-expression parameters: {AttributeUpdates, Expected, ConditionalOperator} Expression parameters: "
         "{UpdateExpression, ConditionExpression}"),
        (update({"a": {"Action": "DELETE"}}, ConditionalOperator="AND"),
         "ConditionalOperator cannot be used without Filter or Expected"),
        (update({"a": {"Action": "DELETE"}}, ExpressionAttributeNames={"#a": "a"}),
         "ExpressionAttributeNames can only be specified when using expressions"),
    ]:
        refused(call, message)
    assert read(dynamodb, table, key) == key | {"a": {"S": "x"}}
