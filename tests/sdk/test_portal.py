"""The developer portal as a browser without scripts sees it: forms, cookies, keys that really open the API, and who is kept out."""

import json
import re
import subprocess
import time
import urllib.parse

import pytest
import requests

from conftest import BINARY, ROOT, Node, free_port

PASSWORD = "correct horse battery"
OWNER = ("owner@example.com", "millstream-owner")
SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
DOCUMENT = """
openapi: 3.0.3
info: {title: Quotes, version: "1", description: Prices of shares.}
paths:
  /quotes/{symbol}:
    get:
      operationId: getQuote
      summary: One quote
      parameters:
        - {name: symbol, in: path, required: true, example: MSFT, schema: {type: string}}
      responses:
        "200": {description: The quote}
"""


class Browser:
    """A visitor with a cookie jar; forms are sent as they stand in the page, with the fields that a test fills in."""

    def __init__(self, base):
        self.base = base
        self.session = requests.Session()

    def get(self, path):
        return self.session.get(self.base + path, timeout=30)

    def token(self, path):
        return re.search(r'name="token" value="([0-9a-f]{64})"', self.get(path).text).group(1)

    def post(self, path, page=None, **fields):
        if "token" not in fields:
            fields["token"] = self.token(page or path)
        return self.session.post(self.base + path, data=fields, headers={"Origin": self.base}, timeout=60)

    def sign_up(self, email, name="Dev", password=PASSWORD):
        return self.post("/signup", name=name, email=email, password=password)

    def log_in(self, email, password=PASSWORD):
        return self.post("/login", email=email, password=password)

    def subscribe(self, plan):
        answer = self.post(f"/plans/{plan}", page="/plans")
        assert answer.status_code == 200, answer.text
        return re.search(r"/subscriptions/([0-9a-z]+)", answer.url).group(1)


@pytest.fixture(scope="module")
def place():
    """A node with a portal, an API that needs a key, and two plans: one at once, one when the owner agrees."""
    port = free_port()
    node = Node("--portal-listen", f"127.0.0.1:{port}")
    try:
        node.start()
        node.portal = f"http://127.0.0.1:{port}"
        apigateway = node.client("apigateway")
        api = apigateway.create_rest_api(name="quotes")["id"]
        root = apigateway.get_resources(restApiId=api)["items"][0]["id"]
        quotes = apigateway.create_resource(restApiId=api, parentId=root, pathPart="quotes")["id"]
        one = apigateway.create_resource(restApiId=api, parentId=quotes, pathPart="{symbol}")["id"]
        apigateway.put_method(restApiId=api, resourceId=one, httpMethod="GET", authorizationType="NONE", apiKeyRequired=True)
        apigateway.put_integration(restApiId=api, resourceId=one, httpMethod="GET", type="MOCK",
                                   requestTemplates={"application/json": '{"statusCode": 200}'})
        apigateway.put_method_response(restApiId=api, resourceId=one, httpMethod="GET", statusCode="200")
        apigateway.put_integration_response(
            restApiId=api, resourceId=one, httpMethod="GET", statusCode="200",
            responseTemplates={"application/json": '{"symbol": "$input.params(\'symbol\')", "price": 101.5}'})
        apigateway.create_deployment(restApiId=api, stageName="prod")
        stages = [{"apiId": api, "stage": "prod"}]
        node.api = api
        node.free = apigateway.create_usage_plan(name="free", apiStages=stages, quota={"limit": 100, "period": "DAY"})["id"]
        node.pro = apigateway.create_usage_plan(name="pro", apiStages=stages, throttle={"rateLimit": 50, "burstLimit": 20})["id"]
        owner = Browser(node.portal)
        assert owner.log_in(*OWNER).url.endswith("/account")
        published = owner.post("/owner/apis", name="quotes", stage=f"{api}/prod", document=DOCUMENT)
        assert "Visitors see the API now" in published.text
        owner.post(f"/owner/plans/{node.free}", page="/owner/plans", offered="on", month="0", included="0", call="0")
        owner.post(f"/owner/plans/{node.pro}", page="/owner/plans", offered="on", approval="on", month="29",
                   included="2", call="0.25")
        node.owner = owner
        yield node
    finally:
        node.remove()


def call(place, key, symbol="MSFT"):
    url = f"{place.endpoint}/restapis/{place.api}/prod/_user_request_/quotes/{symbol}"
    return requests.get(url, headers={"x-api-key": key} if key else {}, timeout=30)


def keys(browser, subscription):
    return re.findall(r'<pre class="code">([A-Za-z0-9]{40})</pre>', browser.get(f"/subscriptions/{subscription}").text)


def test_from_signing_up_to_the_first_call(place):
    visitor = Browser(place.portal)
    home = visitor.get("/").text
    assert "Quotes" in home and "free" in home and "29.00 EUR a month" in home
    assert "One quote" in visitor.get("/apis/quotes").text
    assert visitor.get("/apis/quotes/openapi.json").json()["info"]["title"] == "Quotes"
    assert visitor.sign_up("first@example.org").url.endswith("/login?said=signed-up")
    assert visitor.log_in("first@example.org").status_code == 200
    subscription = visitor.subscribe(place.free)
    (key,) = keys(visitor, subscription)
    assert call(place, None).status_code == 403
    assert call(place, key).json() == {"symbol": "MSFT", "price": 101.5}

    tried = visitor.post("/apis/quotes/getQuote", **{"value-0": "AMZN", "subscription": subscription})
    assert "200 OK" in tried.text and "AMZN" in tried.text
    assert f"curl -i -X GET &#39;{place.endpoint}/restapis/{place.api}/prod/_user_request_/quotes/AMZN&#39;" in tried.text
    missing = visitor.post("/apis/quotes/getQuote", **{"value-0": "", "subscription": subscription})
    assert missing.status_code == 400 and "The parameter symbol is missing" in missing.text
    page = visitor.get(f"/subscriptions/{subscription}").text
    assert "98 calls left of 100 calls a day" in page and "2 calls" in page


def test_a_key_is_rotated_without_downtime(place):
    visitor = Browser(place.portal)
    visitor.sign_up("rotate@example.org")
    visitor.log_in("rotate@example.org")
    subscription = visitor.subscribe(place.free)
    page = f"/subscriptions/{subscription}"
    (old,) = keys(visitor, subscription)
    assert visitor.post(f"{page}/rotate", page=page).status_code == 200
    new, former = keys(visitor, subscription)
    assert former == old and new != old
    assert [call(place, key).status_code for key in (old, new)] == [200, 200]
    assert visitor.post(f"{page}/rotate", page=page).status_code == 409
    assert visitor.post(f"{page}/revoke", page=page).status_code == 200
    assert [call(place, key).status_code for key in (old, new)] == [403, 200]
    assert visitor.post(f"{page}/end", page=page).status_code == 200
    assert call(place, new).status_code == 403
    assert visitor.post(f"/plans/{place.free}", page="/plans").status_code == 409, "a period's quota is had once"


def test_the_owner_agrees_and_sees_what_it_brings(place):
    visitor = Browser(place.portal)
    visitor.sign_up("buyer@example.org", name="Buyer")
    visitor.log_in("buyer@example.org")
    subscription = visitor.subscribe(place.pro)
    assert keys(visitor, subscription) == []
    waiting = place.owner.get("/owner").text
    assert "Buyer" in waiting
    answer = re.search(rf'/owner/requests/[0-9a-z]+/{subscription}', waiting).group(0)
    assert visitor.post(answer, page="/account", answer="agree").status_code == 404, "visitors are no owners"
    assert place.owner.post(answer, page="/owner", answer="agree").status_code == 200
    (key,) = keys(visitor, subscription)
    for _ in range(4):
        assert call(place, key).status_code == 200
    assert "29.50 EUR" in visitor.get(f"/subscriptions/{subscription}").text
    summary = place.owner.get("/owner").text
    assert "29.50 EUR" in summary and "buyer@example.org" in summary

    account = re.search(r'/owner/accounts/[0-9a-z]+', place.owner.get("/owner/accounts?search=BUYER").text).group(0)
    assert place.owner.post(f"{account}/block", page=account, blocked="true").status_code == 200
    assert call(place, key).status_code == 403
    assert visitor.get("/account").url.endswith("/login?next=%2Faccount")
    assert "blocked" in Browser(place.portal).log_in("buyer@example.org").text
    place.owner.post(f"{account}/block", page=account, blocked="false")
    assert call(place, key).status_code == 200
    link = place.owner.post(f"{account}/link", page=account).text
    link = re.search(r"/invitation\?link=[0-9a-f.]+", link).group(0)
    newcomer = Browser(place.portal)
    token = newcomer.token(link)
    secret = urllib.parse.parse_qs(link.split("?")[1])["link"][0]
    chosen = newcomer.post("/invitation", token=token, link=secret, password="another password")
    assert chosen.url.endswith("/account"), chosen.text
    assert newcomer.get(link).status_code == 403, "a link works once"
    assert Browser(place.portal).log_in("buyer@example.org", "another password").url.endswith("/account")


def test_forms_from_elsewhere_are_refused(place):
    visitor = Browser(place.portal)
    visitor.sign_up("forms@example.org")
    visitor.log_in("forms@example.org")
    token = visitor.token("/account")
    url = f"{place.portal}/account/name"

    def post(fields, **headers):
        return visitor.session.post(url, data=fields, headers=headers, timeout=30, allow_redirects=False).status_code

    assert post({"name": "x"}) == 403, "without the token"
    assert post({"name": "x", "token": "0" * 64}) == 403
    assert post({"name": "x", "token": Browser(place.portal).token("/login")}) == 403, "with another visitor's token"
    assert post({"name": "x", "token": token}, Origin="https://evil.example") == 403
    assert post({"name": "x", "token": token}, Origin="null") == 403
    assert post({"name": "x" * (4 << 20), "token": token}, Origin="https://evil.example") == 403, "its sender is told, too"
    assert post({"name": "x", "token": token}, **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert post({"name": "x", "token": token}, Origin=place.portal) == 303
    assert requests.get(place.portal, headers={"Host": "evil.example"}, timeout=30).status_code == 403
    assert post({"name": "x" * (100 << 10), "token": token}, Origin=place.portal, Connection="close") in (400, 413)
    assert post({"name": "", "token": token}, Origin=place.portal) == 400
    assert requests.put(url, timeout=30).status_code == 403
    cookie = requests.get(f"{place.portal}/login", timeout=30).headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    headers = visitor.get("/").headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"


def test_nobody_learns_who_has_an_account_and_guessing_ends(place):
    visitor = Browser(place.portal)
    visitor.sign_up("known@example.org")
    again = Browser(place.portal).sign_up("known@example.org", password="another password")
    assert again.url.endswith("/login?said=signed-up"), "as for a new address"
    stranger = Browser(place.portal)
    told = {re.search(r'role="alert">([^<]*)', stranger.log_in(email, "wrong password").text).group(1)
            for email in ("known@example.org", "nobody@example.org")}
    assert told == {"The e-mail address or the password is wrong."}
    answers = [stranger.log_in("known@example.org", f"guess {n}").status_code for n in range(12)]
    assert answers.count(403) == 9 and answers.count(429) == 3
    assert stranger.log_in("known@example.org").status_code == 429, "the right one does not help either"


def test_addresses_lead_nowhere_else(place):
    visitor = Browser(place.portal)
    visitor.sign_up("next@example.org")
    token = visitor.token("/login?next=//evil.example")
    answer = visitor.session.post(f"{place.portal}/login", timeout=30, allow_redirects=False, data={
        "token": token, "email": "next@example.org", "password": PASSWORD, "next": "//evil.example"})
    assert answer.headers["Location"] == "/account"
    for path in ("/nothing", "/apis/nothing", "/apis/quotes/nothing", "/subscriptions/nothing", "/owner", "/owner/apis"):
        answer = visitor.get(path)
        assert answer.status_code == 404, path
        assert SCRIPT not in visitor.get(path + "/" + urllib.parse.quote(SCRIPT, safe="")).text


def test_scripts_in_every_field_stay_text(place):
    visitor = Browser(place.portal)
    email = f"<b>{int(time.time())}</b>@example.org"
    visitor.sign_up(email, name=SCRIPT)
    assert visitor.log_in(email).status_code == 200
    subscription = visitor.subscribe(place.pro)
    visitor.post("/apis/quotes/getQuote", **{"value-0": SCRIPT, "subscription": subscription})
    wrong = visitor.post("/account/password", page="/account", current=SCRIPT, password=SCRIPT)
    tried = visitor.post("/apis/quotes/getQuote", **{"value-0": SCRIPT, "body": SCRIPT, "subscription": ""})
    failed = Browser(place.portal).log_in(SCRIPT, SCRIPT)
    unmade = Browser(place.portal).sign_up(SCRIPT, name=SCRIPT)
    searched = place.owner.get("/owner/accounts?search=" + urllib.parse.quote(SCRIPT))
    document = json.dumps({"openapi": "3.0.3", "info": {"title": SCRIPT, "description": SCRIPT, "version": SCRIPT}, "paths": {
        "/" + SCRIPT: {"get": {"summary": SCRIPT, "operationId": SCRIPT, "description": SCRIPT, "parameters": [
            {"name": SCRIPT, "in": "query", "description": SCRIPT, "example": SCRIPT, "schema": {"type": SCRIPT}}],
            "requestBody": {"content": {SCRIPT: {"example": SCRIPT}}},
            "responses": {SCRIPT: {"description": SCRIPT}}}}}})
    published = place.owner.post("/owner/apis", name="scripts", stage=f"{place.api}/prod", document=document)
    assert published.status_code == 200, published.text
    operation = re.search(r'href="(/apis/scripts/[^"]+)"><span class="method', visitor.get("/apis/scripts").text).group(1)
    pages = [wrong, tried, failed, unmade, searched, published, visitor.get(operation)]
    pages += [visitor.get(path) for path in ("/", "/account", "/plans", "/apis/scripts", f"/subscriptions/{subscription}")]
    pages += [place.owner.get(path) for path in ("/owner", "/owner/apis", "/owner/apis/scripts", "/owner/accounts")]
    for page in pages:
        assert page.status_code < 500, page.url
        assert "<script" not in page.text and "<img" not in page.text and "<b>" not in re.sub(r"<b>(Calls a day|asks)", "", page.text).replace(
            "<b>pro</b>", ""), page.url
    place.owner.post("/owner/apis/scripts", do="remove")


def test_bad_prices_and_documents_are_named(place):
    for field, value in (("month", "-1"), ("month", "1,5"), ("call", "0.0000001"), ("included", "many")):
        fields = {"offered": "on", "month": "0", "included": "0", "call": "0", field: value}
        answer = place.owner.post(f"/owner/plans/{place.free}", page="/owner/plans", **fields)
        assert answer.status_code == 400 and 'role="alert"' in answer.text, (field, value)
    for document in ("{", "openapi: 2.0", "a: [", "[1]", "x" * (1 << 20)):
        answer = place.owner.post("/owner/apis", name="bad", stage=f"{place.api}/prod", document=document)
        assert answer.status_code in (400, 413), document[:20]
    assert place.owner.post("/owner/apis", name="B A D", stage=f"{place.api}/prod").status_code == 400


def test_a_restart_logs_nobody_out_and_a_kill_loses_no_subscription(place):
    visitor = Browser(place.portal)
    visitor.sign_up("kill@example.org")
    visitor.log_in("kill@example.org")
    subscription = visitor.subscribe(place.free)
    (key,) = keys(visitor, subscription)
    for _ in range(3):
        assert call(place, key).status_code == 200
    place.kill()
    place.start()
    assert visitor.get("/account").status_code == 200
    assert keys(visitor, subscription) == [key]
    assert call(place, key).status_code == 200
    assert "96 calls left" in visitor.get(f"/subscriptions/{subscription}").text


def test_a_command_makes_an_owner(place):
    told = place.run("portal", "owner", "boss@example.org")
    link = re.search(r"http://[^/]+(/invitation\?link=(\S+))", told)
    boss = Browser(place.portal)
    chosen = boss.post("/invitation", token=boss.token(link.group(1)), link=link.group(2), password=PASSWORD)
    assert chosen.url.endswith("/account")
    assert boss.get("/owner").status_code == 200
    assert place.run("portal", "owner", "no address", check=False).returncode != 0


def test_the_example_earns_money(tmp_path):
    """examples/paid-api: applied twice, sold in the portal, called, and counted as the gateway's own calls say."""
    port = free_port()
    node = Node("--portal-listen", f"127.0.0.1:{port}")
    try:
        node.start()
        pipeline = ROOT / "examples" / "paid-api" / "pipeline.toml"
        first = node.run("apply", pipeline)
        assert "unchanged" not in first, first
        again = node.run("apply", pipeline)
        assert "created" not in again and "updated" not in again, again
        url = re.search(r"http://\S+_user_request_/", first).group(0)
        visitor = Browser(f"http://127.0.0.1:{port}")
        visitor.sign_up("reader@example.org")
        visitor.log_in("reader@example.org")
        apigateway = node.client("apigateway")
        plans = {plan["name"]: plan for plan in apigateway.get_usage_plans()["items"]}
        assert plans["free"]["quota"] == {"limit": 1000, "offset": 0, "period": "MONTH"}
        subscription = visitor.subscribe(plans["free"]["id"])
        (key,) = keys(visitor, subscription)
        headers = {"x-api-key": key}
        assert requests.get(url + "quotes", headers=headers, timeout=60).json()["symbols"][0] == "AMZN"
        assert requests.get(url + "quotes/msft", headers=headers, timeout=60).json()["price"] == 412.5
        assert requests.get(url + "quotes/none", headers=headers, timeout=60).status_code == 404
        worth = requests.post(url + "valuations", headers=headers, timeout=60,
                              json={"positions": [{"symbol": "MSFT", "shares": 3}]})
        assert worth.json() == {"value": 1237.5, "currency": "USD"}
        assert requests.get(url + "quotes", timeout=60).status_code == 403
        today = time.strftime("%Y-%m-%d", time.gmtime())
        usage = apigateway.get_usage(usagePlanId=plans["free"]["id"], startDate=today, endDate=today)["items"]
        assert [days for days in usage.values()] == [[[4, 996]]]
        assert "996 calls left" in visitor.get(f"/subscriptions/{subscription}").text
    finally:
        node.remove()


def test_a_pipeline_files_mistakes_are_named(tmp_path):
    (tmp_path / "broken.yaml").write_text("openapi: 2.0\n")
    pipeline = tmp_path / "pipeline.toml"
    pipeline.write_text("""
name = "mistakes"
[[api]]
name = "quotes"
[plans.free]
apis = ["quote"]
rate = -1
[portal]
title = "x"
[portal.apis.none]
[portal.apis.quotes]
openapi = "broken.yaml"
[portal.plans.fre]
price_a_month = "1,5"
""")
    done = subprocess.run([BINARY, "check", str(pipeline)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    for expected in ("no api `quote`", "expected rate from 0", "no api `none`", "no plan `fre`", "found `1,5`"):
        assert expected in done.stderr, done.stderr
