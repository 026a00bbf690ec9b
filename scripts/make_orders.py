"""Makes `conf/orders.csv`: orders in plain words, and the tickets that a kitchen would write for them.

Made up by chance and by rule, so that nobody's text is in it; the same rows every time.
"""

import csv
import random
import sys
from pathlib import Path

N_ROWS = 600
ASKED = (
    "could we have {0}, please",
    "I'd like {0}",
    "{0} for me, thanks",
    "just {0}",
    "can I get {0}",
    "we'll take {0}",
    "hi, {0} please",
    "for the table: {0}",
)
NUMBERS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "a couple of": 2}
SIZES = {"small": "S", "regular": "M", "large": "L", "big": "L", "little": "S"}
DISHES = ("pizza", "salad", "soup", "burger", "curry", "wrap", "pasta", "pie")
PLURALS = {"salad": "salads", "curry": "curries", "pasta": "pastas"}
EXTRAS = ("ham", "cheese", "olives", "onions", "chili", "mushrooms", "beans", "egg")


def order(dice: random.Random) -> tuple[str, str]:
    """What is said, and the ticket: number, size, dish, what goes on it, what does not."""
    number, size, dish = dice.choice([*NUMBERS]), dice.choice([*SIZES]), dice.choice(DISHES)
    said = f"{number} {size} {dish if NUMBERS[number] == 1 else PLURALS.get(dish, dish + 's')}"
    ticket = f"{NUMBERS[number]}x {dish} {SIZES[size]}"
    with_, without = dice.sample(EXTRAS, 2)
    if dice.random() < 0.6:
        said, ticket = f"{said} with {with_}", f"{ticket} with {with_}"
    if dice.random() < 0.5:
        said, ticket = f"{said}, no {without}", f"{ticket} no {without}"
    return dice.choice(ASKED).format(said), ticket


def rows() -> list[tuple[str, str]]:
    """Each order once."""
    dice = random.Random(7)
    made: dict[str, str] = {}
    while len(made) < N_ROWS:
        said, ticket = order(dice)
        made.setdefault(said, ticket)
    return list(made.items())


def main() -> None:
    """Write the file that is named, else the one that comes with the package."""
    path = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent.parent / "conf" / "orders.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("order", "ticket"))
        writer.writerows(rows())


if __name__ == "__main__":
    main()
