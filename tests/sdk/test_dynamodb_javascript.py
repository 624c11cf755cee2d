"""DynamoDB through the JavaScript SDKs' document clients, of both generations, as functions use them."""

import json
import os
import subprocess
import uuid

import pytest
from conftest import NODE_MODULES, needs_javascript

# The loop of a function that saves what it read from a stream: batches of 25, what is left undone again and later.
SAVE_V2 = """
const AWS = require("aws-sdk");
const [endpoint, table] = process.argv.slice(2);
const client = new AWS.DynamoDB.DocumentClient({
  endpoint, region: "us-east-1", credentials: new AWS.Credentials("test", "test"), maxRetries: 0 });
const report = { undone: 0, refused: 0 };
function write(items, retries, done) {
  client.batchWrite({ RequestItems: items }, (error, data) => {
    const later = left => setTimeout(() => write(left, retries + 1, done), Math.min(2 ** retries * 50, 1000));
    if (error && error.code === "ProvisionedThroughputExceededException") { report.refused++; return later(items); }
    if (error) return done(error);
    const left = data.UnprocessedItems;
    if (Object.keys(left).length) { report.undone += left[table].length; return later(left); }
    done();
  });
}
const tweets = Array.from({ length: 25 }, (_, id) =>
  ({ id: `t${id}`, user: { name: "n", followers: id }, tags: ["a", "b"], text: "žluť", active: true, none: null }));
write({ [table]: tweets.map(Item => ({ PutRequest: { Item } })) }, 0, error => {
  if (error) { console.error(error); process.exit(1); }
  const many = Array.from({ length: 26 }, (_, id) => ({ PutRequest: { Item: { id: `m${id}` } } }));
  client.batchWrite({ RequestItems: { [table]: many } }, error => {
    report.many = error.code;
    client.get({ TableName: table, Key: { id: "t7" } }, (error, data) => {
      report.item = data.Item;
      console.log(JSON.stringify(report));
    });
  });
});
"""

USE_V3 = """
const { DynamoDBClient } = require("@aws-sdk/client-dynamodb");
const lib = require("@aws-sdk/lib-dynamodb");
const [endpoint, table] = process.argv.slice(2);
const client = lib.DynamoDBDocumentClient.from(new DynamoDBClient({
  endpoint, region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" } }),
  { marshallOptions: { removeUndefinedValues: true } });
(async () => {
  const TableName = table, report = {};
  await client.send(new lib.PutCommand({ TableName, Item: { id: "a", n: 1, tags: new Set(["x"]), deep: { list: [1, { two: 2 }] } } }));
  const updated = await client.send(new lib.UpdateCommand({ TableName, Key: { id: "a" }, ReturnValues: "ALL_NEW",
    UpdateExpression: "SET #n = #n + :one, deep.#l[1].two = :three, fresh = if_not_exists(fresh, :list) ADD tags :tags",
    ExpressionAttributeNames: { "#n": "n", "#l": "list" },
    ExpressionAttributeValues: { ":one": 1, ":three": 3, ":list": ["f"], ":tags": new Set(["y"]) } }));
  report.updated = { ...updated.Attributes, tags: [...updated.Attributes.tags].sort() };
  try {
    await client.send(new lib.TransactWriteCommand({ TransactItems: [
      { Put: { TableName, Item: { id: "b" } } },
      { ConditionCheck: { TableName, Key: { id: "a" }, ConditionExpression: "attribute_not_exists(id)" } } ] }));
  } catch (error) {
    report.cancelled = error.CancellationReasons.map(reason => reason.Code);
  }
  await client.send(new lib.TransactWriteCommand({ ClientRequestToken: table, TransactItems: [{ Put: { TableName, Item: { id: "b" } } }] }));
  const pages = lib.paginateScan({ client, pageSize: 1 }, { TableName, ProjectionExpression: "id" });
  report.ids = [];
  for await (const page of pages) report.ids.push(...page.Items.map(item => item.id));
  const got = await client.send(new lib.BatchGetCommand({ RequestItems: { [table]: { Keys: [{ id: "a" }, { id: "none" }] } } }));
  report.got = got.Responses[table].length;
  await client.send(new lib.DeleteCommand({ TableName, Key: { id: "b" } }));
  const query = await client.send(new lib.QueryCommand({ TableName, KeyConditionExpression: "id = :id", ExpressionAttributeValues: { ":id": "b" } }));
  report.left = query.Count;
  console.log(JSON.stringify(report));
})().catch(error => { console.error(error); process.exit(1); });
"""


@pytest.fixture
def table(dynamodb):
    name = f"javascript-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 100, "WriteCapacityUnits": 10},
    )
    yield name
    dynamodb.delete_table(TableName=name)


def run(script, tmp_path, *arguments):
    file = tmp_path / "script.cjs"
    file.write_text(script)
    done = subprocess.run(["node", str(file), *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "NODE_PATH": str(NODE_MODULES), "AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_javascript("aws-sdk")
def test_the_second_generations_batches_with_backoff(endpoint, dynamodb, table, tmp_path):
    report = run(SAVE_V2, tmp_path, endpoint, table)
    assert report["undone"] > 0, "ten writes a second are fewer than 25"
    assert report["many"] == "ValidationException"
    assert report["item"] == {"id": "t7", "user": {"name": "n", "followers": 7}, "tags": ["a", "b"], "text": "žluť",
                              "active": True, "none": None}
    assert dynamodb.scan(TableName=table, Select="COUNT")["Count"] == 25


@needs_javascript("@aws-sdk/lib-dynamodb")
def test_the_third_generations_document_client(endpoint, table, tmp_path):
    report = run(USE_V3, tmp_path, endpoint, table)
    assert report == {
        "updated": {"id": "a", "n": 2, "tags": ["x", "y"], "deep": {"list": [1, {"two": 3}]}, "fresh": ["f"]},
        "cancelled": ["None", "ConditionalCheckFailed"],
        "ids": report["ids"],
        "got": 1,
        "left": 0,
    }
    assert sorted(report["ids"]) == ["a", "b"]
