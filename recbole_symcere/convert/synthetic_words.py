"""The vocabulary of the synthetic reviews: attribute, sentiment and neutral phrases.

No word stands in two of the three kinds; a test holds that.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Attribute group -> its words. An item has at most one word of a group.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "cuisine": (
        "italian", "mexican", "thai", "indian", "korean", "greek", "ethiopian", "vietnamese",
        "japanese", "lebanese", "cajun",
    ),
    "dish": (
        "pizza", "tacos", "curry", "ramen", "dumplings", "burgers", "salad", "steak", "oysters",
        "pancakes", "waffles",
    ),
    "drink": (
        "espresso", "cocktails", "smoothies", "cider", "lemonade", "matcha", "whiskey", "lager",
        "milkshakes", "sangria", "kombucha",
    ),
    "place": (
        "rooftop", "patio", "basement", "courtyard", "riverside", "downtown", "airport", "harbor",
        "market", "plaza", "suburb",
    ),
    "equipment": (
        "fireplace", "jukebox", "aquarium", "piano", "billiards", "television", "chandelier",
        "booths", "bookshelf", "arcade", "smoker",
    ),
    "service": (
        "delivery", "takeout", "reservations", "valet", "buffet", "catering", "wifi", "karaoke",
        "lockers", "tastings", "refills",
    ),
    "guests": (
        "families", "students", "birthdays", "meetings", "couples", "tourists", "weddings", "dogs",
        "toddlers", "runners", "retirees",
    ),
    "style": (
        "brick", "bamboo", "neon", "marble", "wooden", "candlelit", "vintage", "industrial",
        "velvet", "tiled", "floral",
    ),
}  # fmt: skip

#: Attribute group -> the phrases that mention one of its words.
MENTIONS: Mapping[str, tuple[str, ...]] = {
    "cuisine": ("{} food", "{} kitchen", "{} menu"),
    "dish": ("had {}", "{} plate", "ordered {}"),
    "drink": ("drank {}", "had {}", "{} for two"),
    "place": ("{} spot", "{} seating", "{} location"),
    "equipment": ("{} inside", "with {}", "{} there"),
    "service": ("offers {}", "{} possible", "used {}"),
    "guests": ("many {}", "for {}", "{} around"),
    "style": ("{} walls", "{} interior", "{} tables"),
}

POSITIVE = (
    "great", "wonderful", "excellent", "lovely", "delightful", "fantastic", "superb", "pleasant",
    "perfect", "amazing",
)  # fmt: skip
NEGATIVE = (
    "awful", "terrible", "disappointing", "poor", "dreadful", "unpleasant", "mediocre", "horrible",
    "annoying", "sad",
)  # fmt: skip
JUDGEMENTS = ("was {}", "overall {}", "felt {}")

OPENERS = (
    "", "", "", "monday visit", "second visit", "after work", "around noon", "group of four",
)  # fmt: skip
CLOSERS = ("", "", "", "", "stayed an hour", "paid by card", "parked nearby", "walked home")


def filler_words() -> list[str]:
    """Return the words that carry neither an attribute nor a sentiment, in alphabetical order."""
    phrases = [phrase for group in MENTIONS.values() for phrase in group]
    phrases += [*JUDGEMENTS, *OPENERS, *CLOSERS]
    return sorted({word for phrase in phrases for word in phrase.split() if word != "{}"})
