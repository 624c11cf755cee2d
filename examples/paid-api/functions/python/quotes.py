"""Share prices over HTTP: GET /quotes, GET /quotes/{symbol}, POST /valuations. Gets the whole request of API Gateway."""

import json

CENTS = {"AMZN": 18620, "GOOG": 17130, "MSFT": 41250, "NVDA": 12905, "TSLA": 24410}


def handler(event, context):
    if event["resource"] == "/quotes":
        return answer(200, {"symbols": sorted(CENTS)})
    if event["resource"] == "/quotes/{symbol}":
        symbol = event["pathParameters"]["symbol"].upper()
        if symbol not in CENTS:
            return answer(404, {"message": f"there is no quote of {symbol}"})
        return answer(200, {"symbol": symbol, "price": CENTS[symbol] / 100, "currency": "USD"})
    try:
        positions = json.loads(event["body"])["positions"]
        cents = sum(CENTS[position["symbol"].upper()] * int(position["shares"]) for position in positions)
    except (KeyError, TypeError, ValueError) as error:
        return answer(400, {"message": f"expected positions with a known symbol and a number of shares: {error}"})
    return answer(200, {"value": cents / 100, "currency": "USD"})


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
