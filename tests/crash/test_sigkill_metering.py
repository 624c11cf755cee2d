"""Kills the node again and again while metered requests are made, then reads what was counted.

What must hold: every request that was answered is counted; none is counted twice; the counts are the lines of the access
log; no quota is ever exceeded.
"""

import collections
import datetime
import json
import threading
import time

import requests

KILLS = 4
SECONDS_BETWEEN_KILLS = 1.5
CALLERS = 6
QUOTA = 400


def make(node):
    """An API behind a plan without a quota and one with, and a key of each."""
    client = node.client("apigateway")
    api = client.create_rest_api(name="paid")
    place = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    client.put_method(**place, authorizationType="NONE", apiKeyRequired=True)
    client.put_integration(**place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    client.put_method_response(**place, statusCode="200")
    client.put_integration_response(**place, statusCode="200")
    made = []
    for stage, settings in [("free", {}), ("small", {"quota": {"limit": QUOTA, "period": "MONTH"}})]:
        client.create_deployment(restApiId=api["id"], stageName=stage)
        plan = client.create_usage_plan(name=stage, apiStages=[{"apiId": api["id"], "stage": stage}], **settings)["id"]
        key = client.create_api_key(name=stage, enabled=True)
        client.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
        made.append((f"{node.endpoint}/_aws/execute-api/{api['id']}/{stage}/", plan, key))
    return made


class Caller(threading.Thread):
    """Calls until it is told to stop; keeps the ids of what was answered."""

    def __init__(self, url, key, stop):
        super().__init__()
        self.url, self.key, self.stop = url, key, stop
        self.statuses, self.answered = collections.Counter(), []

    def run(self):
        session = requests.Session()
        while not self.stop.is_set():
            try:
                answer = session.get(self.url, headers={"x-api-key": self.key}, timeout=10)
            except requests.RequestException:
                self.statuses["cut off"] += 1
                session = requests.Session()
                time.sleep(0.01)
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                self.answered.append(answer.headers["x-amzn-requestid"])


def counted(node, plan, key):
    day = datetime.datetime.now(datetime.timezone.utc)
    dates = [(day + datetime.timedelta(days=days)).strftime("%Y-%m-%d") for days in (-1, 0)]
    usage = node.client("apigateway").get_usage(usagePlanId=plan, keyId=key["id"], startDate=dates[0], endDate=dates[1])
    return sum(day[0] for day in usage["items"][key["id"]])


def access_log(node, lines):
    printed = node.run("tail", "gateway/access", "--from-start", "--limit", lines)
    return [json.loads(json.loads(line)["data"]) if isinstance(json.loads(line).get("data"), str) else json.loads(line)
            for line in printed.splitlines()]


def test_what_was_answered_is_counted_once(node):
    stop = threading.Event()
    made = make(node)
    callers = {plan: [Caller(url, key["value"], stop) for _ in range(CALLERS)] for url, plan, key in made}
    everybody = [caller for each in callers.values() for caller in each]
    for caller in everybody:
        caller.start()
    for _ in range(KILLS):
        time.sleep(SECONDS_BETWEEN_KILLS)
        node.kill()
        node.start()
    time.sleep(0.5)
    stop.set()
    for caller in everybody:
        caller.join()
    total = 0
    for _, plan, key in made:
        answered = [id for caller in callers[plan] for id in caller.answered]
        cut_off = sum(caller.statuses["cut off"] for caller in callers[plan])
        counts = counted(node, plan, key)
        assert len(answered) <= counts <= len(answered) + cut_off, "answered ≤ counted ≤ answered and cut off"
        assert len(answered) > 100
        total += counts
    assert counted(node, *made[1][1:]) <= QUOTA
    assert sum(len(caller.answered) for caller in callers[made[1][1]]) <= QUOTA
    lines = access_log(node, total)
    ids = [line["request_id"] for line in lines]
    assert len(set(ids)) == len(ids) == total, "the counts are the lines"
    assert {id for caller in everybody for id in caller.answered} <= set(ids)
