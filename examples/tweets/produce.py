"""Puts tweets into the stream: those of tweets.jsonl, or made-up ones.

    produce.py ENDPOINT                            replays tweets.jsonl
    produce.py ENDPOINT --generate 500 --seed 7    sends made-up tweets, the same for the same seed
"""

import argparse
import json
import pathlib
import random

import boto3

RECORDS_A_CALL = 500  # what PutRecords takes
TOPICS = ["awscloud", "serverless"]
WORDS = ["batches", "queues", "cold starts", "tables", "shards", "retries", "alarms"]


def made_up(count, seed):
    chance = random.Random(seed)
    for number in range(count):
        topic = chance.choice(TOPICS)
        yield {"id": f"{seed}-{number:06}", "username": f"user{chance.randrange(50)}", "topic": topic,
               "time": f"2016-12-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
               "text": f"Thinking about {chance.choice(WORDS)} and {chance.choice(WORDS)} #{topic}"}


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("endpoint")
    flags.add_argument("--generate", type=int)
    flags.add_argument("--seed", type=int, default=1)
    asked = flags.parse_args()
    where = {"endpoint_url": asked.endpoint, "region_name": "us-east-1"}
    if asked.generate is None:
        tweets = [json.loads(line) for line in (pathlib.Path(__file__).parent / "tweets.jsonl").open()]
    else:
        tweets = list(made_up(asked.generate, asked.seed))
    stream = boto3.client("kinesis", **where)
    for at in range(0, len(tweets), RECORDS_A_CALL):
        records = [{"Data": json.dumps(tweet).encode(), "PartitionKey": tweet["username"]} for tweet in tweets[at:at + RECORDS_A_CALL]]
        answer = stream.put_records(StreamName="tweets", Records=records)
        if answer["FailedRecordCount"]:
            raise SystemExit(f"{answer['FailedRecordCount']} tweets were refused")
    print(f"{len(tweets)} tweets sent")


if __name__ == "__main__":
    main()
