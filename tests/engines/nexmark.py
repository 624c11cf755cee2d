"""The events of Nexmark's auctions out of a seed: people who come, auctions that begin, bids. Of 50 events one is a person, three
are auctions and the rest bids, as in the benchmark; what they hold is made up here.
"""

import random

BEGIN = 1_704_095_970_000  # 2024-01-01 07:59:30, so that hours differ
DISORDER_MS = 3_000
CHANNELS = ["Google", "Facebook", "Baidu", "Apple", "apple"]
CITIES = [("Phoenix", "AZ"), ("Los Angeles", "CA"), ("Boise", "ID"), ("Portland", "OR"), ("Bend", "OR"), ("Seattle", "WA")]
NAMES = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"]
LETTERS = "abcdefghij "


def text(chance, length):
    return "".join(chance.choices(LETTERS, k=length))


def events(count, step_ms, seed="nexmark"):
    """Pairs of a table's name and its row, `step_ms` apart and disordered by less than three seconds."""
    chance = random.Random(seed)
    for number in range(count):
        now = BEGIN + number * step_ms
        at = now - chance.choice([0, 0, 0, chance.randrange(DISORDER_MS)])
        epoch, kind = divmod(number, 50)
        if kind == 0:
            yield "person", person(chance, 1000 + epoch, at)
        elif kind <= 3:
            yield "auction", auction(chance, 1000 + epoch * 3 + kind - 1, 1000 + max(0, epoch - chance.randrange(3)), at)
        else:
            yield "bid", bid(chance, 1000 + epoch * 3, 1000 + epoch, at)


def person(chance, number, at):
    city, state = chance.choice(CITIES)
    name = f"{chance.choice(NAMES)} {text(chance, 5)}"
    return {"id": number, "name": name, "emailAddress": f"{text(chance, 6)}@{text(chance, 4)}.com", "city": city, "state": state,
            "dateTime": at, "extra": text(chance, 40)}


def auction(chance, number, seller, at):
    initial = chance.randrange(1, 1000)
    return {"id": number, "itemName": text(chance, 12), "initialBid": initial, "reserve": initial + chance.randrange(1000),
            "dateTime": at, "expires": at + chance.randrange(60_000), "seller": seller, "category": chance.randrange(10, 15),
            "extra": text(chance, 40)}


def bid(chance, newest_auction, newest_person, at):
    known = chance.random() < 0.5
    channel = chance.choice(CHANNELS) if known else f"channel-{chance.randrange(100)}"
    number = "" if chance.random() < 0.2 else f"&channel_id={chance.randrange(10_000)}"
    path = "/".join(text(chance, 4).strip() for _ in range(chance.choice([2, 3, 4])))
    # Half of the bids are for one of the newest auctions, as half of the bidders are of the newest people.
    return {"auction": max(1000, newest_auction - chance.choice([0, 1, 2, chance.randrange(100)])),
            "bidder": max(1000, newest_person - chance.choice([0, 1, chance.randrange(100)])),
            "price": int(10 ** (chance.random() * 6 + 2)), "channel": channel,
            "url": f"https://www.nexmark.com/{path}/item.htm?query=1{number}", "dateTime": at, "extra": text(chance, 30)}


def rows(table, count=4_000, step_ms=20):
    """The rows of one table."""
    return [row for name, row in events(count, step_ms) if name == table]
