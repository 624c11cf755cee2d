"""Kills the node again and again while clients write items of a table that tells its changes, then counts.

What must hold: the change records, one after the other, make exactly the items that are in the table, each record's old image
is what the one before left, and each acknowledged write has its record.
"""

import threading
import time

from botocore.exceptions import BotoCoreError, ClientError
from peers import Load

KILLS = 4
SECONDS_BETWEEN_KILLS = 1.5
WRITERS = 4
ITEMS = 7
TABLE = "changing"


class Writer:
    """Writes items of its own in every way that there is until told to stop; keeps the number of each acknowledged write."""

    def __init__(self, node, number, stop):
        self.node, self.number, self.stop = node, number, stop
        self.acknowledged = []

    def key(self, count):
        return {"id": {"S": f"w{self.number}-{count % ITEMS}"}}

    def write(self, dynamodb, count):
        """The write of that number. Each but a deletion leaves the number in its item."""
        key, mark = self.key(count), {"N": str(count)}
        item = key | {"mark": mark}
        match count % 5:
            case 0:
                dynamodb.put_item(TableName=TABLE, Item=item)
            case 1:
                dynamodb.update_item(TableName=TABLE, Key=key, UpdateExpression="SET mark = :m",
                                     ExpressionAttributeValues={":m": mark})
            case 2:
                other = self.key(count + 1) | {"mark": mark}
                dynamodb.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": one}} for one in (item, other)]})
            case 3:
                other = self.key(count + 2)
                dynamodb.transact_write_items(TransactItems=[
                    {"Put": {"TableName": TABLE, "Item": item}}, {"Delete": {"TableName": TABLE, "Key": other}}])
            case _:
                dynamodb.delete_item(TableName=TABLE, Key=key)
                return False
        return True

    def run(self):
        dynamodb, count = self.node.client("dynamodb", read_timeout=5), 0
        while not self.stop.is_set():
            count += 1
            try:
                if self.write(dynamodb, count):
                    self.acknowledged.append(f"{self.number}/{count}")
            except (BotoCoreError, ClientError):
                time.sleep(0.05)


def changes(node, arn):
    streams = node.client("dynamodbstreams")
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while True:
            answer = streams.get_records(ShardIterator=iterator)
            if not answer["Records"]:
                break
            yield from answer["Records"]
            iterator = answer["NextShardIterator"]


def test_there_is_a_change_record_for_each_durable_write(node):
    made = node.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    stop = threading.Event()
    writers = [Writer(node, number, stop) for number in range(WRITERS)]
    with Load(node, [(writer.run,) for writer in writers], stop):
        for _ in range(KILLS):
            time.sleep(SECONDS_BETWEEN_KILLS)
            node.kill()
            node.start()
        time.sleep(SECONDS_BETWEEN_KILLS)

    items, marks, told = {}, set(), 0
    for record in changes(node, made["LatestStreamArn"]):
        change = record["dynamodb"]
        name = change["Keys"]["id"]["S"]
        assert change.get("OldImage") == items.get(name), record
        assert record["eventName"] == ("REMOVE" if "NewImage" not in change else "MODIFY" if name in items else "INSERT")
        if "NewImage" in change:
            items[name] = change["NewImage"]
            marks.add(f"{name[1:].split('-')[0]}/{change['NewImage']['mark']['N']}")
        else:
            del items[name]
        told += 1
    pages = node.client("dynamodb").get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
    assert {item["id"]["S"]: item for page in pages for item in page["Items"]} == items
    acknowledged = {mark for writer in writers for mark in writer.acknowledged}
    assert acknowledged <= marks
    assert len(acknowledged) > 50 and told >= len(acknowledged)
