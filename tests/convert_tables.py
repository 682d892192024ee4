"""Runs a reading without writing anything."""

from collections import namedtuple

import polars as pl

from recbole_symcere.convert.records import SCHEMA, Account

Read = namedtuple("Read", "reviews report batches reading")


def read_all(reading):
    account, batches = Account(reading.file), []
    for block in reading.blocks:
        batches.append(reading.read(block))
        account.add(batches[-1])
    empty = pl.DataFrame(schema=dict(SCHEMA))
    reviews = pl.concat([empty, *(batch.reviews for batch in batches)])
    return Read(reviews, account.report(), batches, reading)
