"""Rows out of a seed, for queries that several engines run.

The first column of time is the one that rows go by: `timestamp`, or `bigint` with a name that ends in `ms`. Rows come disordered by
less than four seconds. Another column of time has any time, also before 1970. The rest has NULLs and, of each type, the values on
which engines differ: negative numbers, halves, empty texts, blanks, letters beyond ASCII. `id` numbers the rows.
"""

import datetime
import random

COUNT = 600
EPOCH = datetime.datetime(1970, 1, 1)
BEGIN = 1_704_067_200_000  # 2024-01-01
DISORDER_MS = 4_000
STEPS_MS = [0, 1, 400, 1_000, 5_000, 9_000, 20_000, 45_000]
KEYS = ["a", "b", "c", "MS", "MASTER", None]
WORDS = ["", " ", "Hello World", "  two  words ", "naïve café", "ÄÖÜ straße", "x", "A-1,b;2", "100%", "a_b", "tab\there", "🦀 crab", None, "1.9", "-3", "1d", "1e3",
         ".5", "+7", "0x10"]
NUMBERS = [0.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.125, 1.005, 2.675, 1e-7, 123456789.125, -1e15]


def iso(millis):
    """A time as `2024-01-01T00:00:00.000`."""
    return (EPOCH + datetime.timedelta(milliseconds=millis)).isoformat(timespec="milliseconds")


def spaced(millis):
    """A time as SQL has it: `2024-01-01 00:00:00.000`."""
    return iso(millis).replace("T", " ")


def zoned(millis):
    """A time as `2024-01-01T00:00:00.000Z`."""
    return iso(millis) + "Z"


def millis(text):
    """The milliseconds of a time, of either form."""
    return round((datetime.datetime.fromisoformat(text.removesuffix("Z")) - EPOCH) / datetime.timedelta(milliseconds=1))


def is_time(name, kind):
    return kind == "timestamp" or (kind == "bigint" and name.endswith("ms"))


def rows(table, types, count=COUNT):
    """The rows of a table, the same ones each time."""
    chance = random.Random(table)
    clock = next((name for name, kind in types.items() if is_time(name, kind)), None)
    now, made = BEGIN, []
    for number in range(count):
        now += chance.choice(STEPS_MS)
        row = {name: number if name == "id" else value(chance, name, kind) for name, kind in types.items()}
        if "@" in types or clock is None:
            row["@"] = now
        if clock not in (None, "@"):
            row[clock] = now - chance.choice([0, 0, chance.randrange(DISORDER_MS)])
        made.append(row)
    return made


def value(chance, name, kind):
    if is_time(name, kind):
        return chance.choice([None, chance.randrange(-10**12, 2 * 10**12)])
    if kind == "text":
        return chance.choice(WORDS if name == "words" else KEYS)
    if kind == "boolean":
        return chance.choice([True, False, None])
    if chance.random() < 0.1:
        return None
    if kind == "bigint":
        return chance.choice([0, 1, -1, chance.randrange(-1000, 1000), chance.randrange(-10**6, 10**6)])
    return chance.choice([*NUMBERS, round(chance.uniform(-100, 100), 2), chance.uniform(-1, 1)])
