"""What the JSON API answers; its OpenAPI description is made of these."""

# pydantic takes no TypedDict of typing's before Python 3.12
from typing_extensions import TypedDict

__all__ = [
    "About",
    "FoundItems",
    "History",
    "Item",
    "Items",
    "Neighbours",
    "Recommendations",
    "Users",
    "Why",
]


class Named(TypedDict):
    """An item: its id as in the file, and its title, "" where none is known."""

    item: str
    title: str


class About(TypedDict):
    """What is served. ``words`` says why there are no words, or ""."""

    run: str
    model: str
    dataset: str
    users: int
    items: int
    most: int
    words: str
    fold_in: bool


class Users(TypedDict):
    """Ids of users, and how many there are in all."""

    found: list[str]
    total: int


class Items(TypedDict):
    """Items, and how many there are in all."""

    found: list[Named]
    total: int


class Interaction(Named):
    """An interaction: of train, valid, test or, where no split has it, "left out".

    Its review is there if it is of train and has one.
    """

    part: str
    review: str | None


class History(TypedDict):
    """A user's first interactions, and how many there are in all."""

    user: str
    history: list[Interaction]
    total: int


class Recommended(Named):
    """A recommended item, with words that it shares with the user's training items."""

    rank: int
    score: float
    words: list[str]


class Recommendations(TypedDict):
    """The best items that the user has no interaction with, the best first."""

    user: str
    items: list[Recommended]


class Near(Named):
    """An item that is near: cosine, and shared words where words were compared."""

    similarity: float
    words: list[str]


class FoundItems(TypedDict):
    """Items that use typed words."""

    items: list[Near]


class Neighbours(TypedDict):
    """An item's neighbours by the model's vectors and by words; ``note`` where there are none."""

    item: str
    vectors: list[Near]
    words: list[Near]
    note: str


class Piece(TypedDict):
    """A piece of a review; marked where it is a shared word."""

    text: str
    marked: bool


class Review(TypedDict):
    """A training review: of whom, about what, in pieces."""

    user: str
    item: str
    title: str
    pieces: list[Piece]


class Why(TypedDict):
    """Words that an item shares with a user's training items, in reviews of both."""

    user: str
    item: str
    title: str
    words: list[str]
    from_user: list[Review]
    from_item: list[Review]


class Item(Named):
    """An item: its training interactions, and the first of their reviews."""

    interactions: int
    reviews: list[Review]
