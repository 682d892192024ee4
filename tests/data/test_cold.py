"""Shortened histories: what stays, and what is left out of rankings."""

import pytest
from small_data import small_rows, write_rows

from recbole_symcere.base.errors import InputError
from recbole_symcere.plugin.config import Config
from recbole_symcere.run.prepare import read_dataset, split_data

ROWS = small_rows()
PLACE = {(user, item): n for n, (user, item, *_) in enumerate(ROWS)}  # each user's in order of time


def by_user():
    found = {}
    for row in ROWS:
        found.setdefault(row[0], []).append(row)
    return list(found.values())


def loaders_of(folder, name, model="BPR", **more):
    settings = {"data_path": str(folder), "use_gpu": False, **more}
    config = Config(model, name, config_dict=settings)
    return split_data(config, read_dataset(config))


def histories(part):
    """User -> its items by their names, in order of time."""
    found = {}
    rows = part.inter_feat
    for user, item in zip(rows["user_id"].tolist(), rows["item_id"].tolist(), strict=True):
        names = part.id2token("user_id", user), part.id2token("item_id", item)
        found.setdefault(str(names[0]), []).append(str(names[1]))
    return {u: sorted(items, key=lambda i: PLACE[u, i]) for u, items in found.items()}


@pytest.mark.parametrize("order", ["TO", "RO", "parts"])
def test_shortened_users_keep_their_latest_interactions_whatever_the_order_of_rows(tmp_path, order):
    more = {"eval_args": {"order": order}}
    if order == "parts":
        more = {"benchmark_filename": ["train", "valid", "test"]}
        for name, rows in (("train", slice(5, None, -1)), ("valid", slice(6, 7)),
                           ("test", slice(7, 8))):  # fmt: skip
            write_rows(tmp_path, "set", [row for own in by_user() for row in own[rows]], name)
    else:
        write_rows(tmp_path, "set", ROWS)
    whole = histories(loaders_of(tmp_path, "set", **more)[0].dataset)
    train = loaders_of(tmp_path, "set", cold_users=0.9, **more)[0].dataset
    left = histories(train)
    assert {kept: len(users) for kept, users in train.cold.users.items()} == dict.fromkeys(
        (0, 1, 2, 4), 5
    )
    for kept, users in train.cold.users.items():
        for user in train.id2token("user_id", users).tolist():
            assert left.get(user, []) == whole[user][len(whole[user]) - kept :]


@pytest.mark.parametrize("model", ["BPR", "DirectAU"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_what_shortened_users_lost_is_never_sampled_for_their_ranking(tmp_path, model, part):
    write_rows(tmp_path, "set", ROWS)
    other = {"valid": "test", "test": "valid"}[part]
    mode = {"eval_args": {"mode": {part: "uni50", other: "full"}}}
    whole = histories(loaders_of(tmp_path, "set", model, **mode)[0].dataset)
    train, *held_out = loaders_of(tmp_path, "set", model, cold_users=0.9, **mode)
    names, left = train.dataset.id2token, histories(train.dataset)
    ranked = {}
    for batch in held_out[part == "test"]:
        users, items = (batch[0][field].tolist() for field in ("user_id", "item_id"))
        for user, item in zip(users, items, strict=True):
            ranked.setdefault(str(names("user_id", user)), set()).add(str(names("item_id", item)))
    assert len(ranked) == 24
    lost = {user: set(items) - set(left.get(user, [])) for user, items in whole.items()}
    assert sum(map(len, lost.values())) == 5 * (6 + 5 + 4 + 2)
    assert not any(ranked[user] & items for user, items in lost.items())
    assert sum(map(len, ranked.values())) > 24 * 15  # nearly all others are


@pytest.mark.parametrize("model", ["BPR", "DirectAU"])
def test_a_user_that_had_all_items_leaves_none_to_sample(tmp_path, model):
    write_rows(tmp_path, "set", small_rows(n_items=16))  # one half for each user, which has it all
    given = {"eval_args": {"mode": "uni5"}, "cold_users": 1.0, "topk": 5, "valid_metric": "NDCG@5"}
    loaders_of(tmp_path, "set", model, **given)
    write_rows(tmp_path, "set", [row for row in small_rows(n_items=16) if int(row[0][1:]) % 2])
    said = (
        r"cold_users is 1.0, but 12 of the users that lost interactions had all items.*mode: full"
    )
    with pytest.raises(InputError, match=said):
        loaders_of(tmp_path, "set", model, **given)
