"""Every reader under its name, and what runs a reading without writing anything."""

from collections import namedtuple

import polars as pl

from recbole_symcere.convert.readers.amazon2014 import read_amazon2014
from recbole_symcere.convert.readers.amazon2018 import read_amazon2018
from recbole_symcere.convert.readers.amazon2023 import read_amazon2023
from recbole_symcere.convert.readers.generic import GenericOptions, read_generic
from recbole_symcere.convert.readers.rakuten_travel import read_rakuten_travel
from recbole_symcere.convert.readers.tripadvisor import read_tripadvisor
from recbole_symcere.convert.readers.yelp import read_yelp
from recbole_symcere.convert.records import SCHEMA, Account

READERS = {
    "amazon2014": read_amazon2014,
    "amazon2018": read_amazon2018,
    "amazon2023": read_amazon2023,
    "yelp": read_yelp,
    "rakuten_travel": read_rakuten_travel,
    "tripadvisor": read_tripadvisor,
    **{
        form: lambda path, form=form: read_generic(path, GenericOptions(input_format=form))
        for form in ("csv", "tsv", "jsonl", "parquet")
    },
}

Read = namedtuple("Read", "reviews report batches reading")


def read_all(reading):
    account, batches = Account(reading.file), []
    for block in reading.blocks:
        batches.append(reading.read(block))
        account.add(batches[-1])
    empty = pl.DataFrame(schema=dict(SCHEMA))
    reviews = pl.concat([empty, *(batch.reviews for batch in batches)])
    return Read(reviews, account.report(), batches, reading)
