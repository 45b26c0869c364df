"""The raw files that a web shop's other systems delivered: orders and customers as CSV, clicks as JSON lines.

The content is the same on every run, so that what the demo prints can be compared.
"""
from __future__ import annotations

import csv
import json
import random
from datetime import datetime, timedelta
from pathlib import Path

CUSTOMERS = 40
ORDERS = 400
CLICKS = 600
_SEED = 2024
_FIRST_DAY = datetime(2024, 1, 1)
_COUNTRIES = ("de", "fr", "it", "pl", "se")
_NAMES = ("ada", "boris", "chen", "dana", "emre", "fatou", "gita", "henk", "ines", "jonas")


def deliver(raw: Path) -> None:
    """Write the files into the folder that stands for the container `raw`."""
    chance = random.Random(_SEED)
    _customers(raw / "crm" / "customers", chance)
    _orders(raw / "sales" / "orders", chance)
    _clicks(raw / "web" / "clicks", chance)


def _customers(folder: Path, chance: random.Random) -> None:
    folder.mkdir(parents=True)
    with (folder / "customers.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "name", "country"))
        for number in range(1, CUSTOMERS + 1):
            name = f"{chance.choice(_NAMES)} {chance.choice(_NAMES)}"
            writer.writerow((number, name, chance.choice(_COUNTRIES)))


def _orders(folder: Path, chance: random.Random) -> None:
    folder.mkdir(parents=True)
    for month in (1, 2):
        with (folder / f"2024-{month:02}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("order_id", "customer", "ordered_at", "quantity", "price", "status"))
            for number in range(ORDERS // 2):
                day = _FIRST_DAY + timedelta(days=31 * (month - 1) + chance.randrange(28))
                writer.writerow((
                    month * 10_000 + number, chance.randint(1, CUSTOMERS), day.date().isoformat(),
                    chance.randint(1, 5), round(chance.uniform(2, 90), 2),
                    chance.choice(("paid", "paid", "paid", "cancelled")),
                ))


def _clicks(folder: Path, chance: random.Random) -> None:
    folder.mkdir(parents=True)
    with (folder / "clicks.json").open("w", encoding="utf-8") as file:
        for _ in range(CLICKS):
            moment = _FIRST_DAY + timedelta(minutes=chance.randrange(60 * 24 * 59))
            known = chance.random() < 0.8
            file.write(json.dumps({
                "session": f"s{chance.randrange(200)}",
                "customer": {"id": chance.randint(1, CUSTOMERS) if known else None},
                "page": f"/item/{chance.randrange(30)}",
                "clicked_at": moment.isoformat(),
            }) + "\n")
