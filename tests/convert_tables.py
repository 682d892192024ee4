"""Every reader under its name, and what runs a reading without writing anything."""

from collections import namedtuple

import polars as pl

from recbole_symcere.convert.convert_options import FieldOptions
from recbole_symcere.convert.readers.generic import FORMATS, read_generic
from recbole_symcere.convert.records import SCHEMA, Account
from recbole_symcere.convert.sources import SOURCES, reader_of

READERS = {
    **{name: reader_of(name) for name in SOURCES if name not in {"generic", "synthetic"}},
    **{
        form: lambda path, form=form: read_generic(path, FieldOptions(input_format=form))
        for form in FORMATS
    },
}
"""A source is here by being in `SOURCES`, a form of generic by being in `FORMATS`."""

Read = namedtuple("Read", "reviews report batches reading")


def read_all(reading):
    account, batches = Account(reading.file), []
    for block in reading.blocks:
        batches.append(reading.read(block))
        account.add(batches[-1])
    empty = pl.DataFrame(schema=dict(SCHEMA))
    reviews = pl.concat([empty, *(batch.reviews for batch in batches)])
    return Read(reviews, account.report(), batches, reading)
