"""Puts the body of a request, one trade, into the delivery stream."""

import json
import os

import boto3

firehose = boto3.client("firehose")


def handler(event, context):
    record = {"Data": json.dumps(event) + "\n"}
    answer = firehose.put_record(DeliveryStreamName=os.environ["DELIVERY_STREAM"], Record=record)
    return {"recordId": answer["RecordId"]}
