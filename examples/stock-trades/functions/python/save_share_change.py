"""Writes each row of the query's output as an item and answers for each record."""

import base64
import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event, context):
    return {"records": [{"recordId": record["recordId"], "result": save(record)} for record in event["records"]]}


def save(record):
    try:
        row = json.loads(base64.b64decode(record["data"]))
        table.put_item(Item={"timestamp": row["time"], "symbol": row["symbol"], "shareChange": row["shareChange"]})
        return "Ok"
    except Exception as error:
        print(f"record {record['recordId']}: {error}")
        return "DeliveryFailed"
