"""Converters: a raw review dump in, one data set folder out.

Importing this package loads nothing heavy; its modules import polars, pyarrow and numpy, never
torch or RecBole. The way through it::

    inputs                            -> the files, one after the other
    lines, encodings, archives        -> blocks of whole lines of UTF-8 out of any file
    jsonlines, delimited              -> tables of text (raw)
    readers/, validate (times, ratings) -> batches of reviews, every other row counted
    clean                             -> texts of one plain line
    spill                             -> rows on disk, numbers in memory
    choose, kcore                     -> which rows stay, and in which order
    writer                            -> <output_dir>/<name>/, complete or not at all

`pipeline` goes this way, `command` is the command line; `stats` and `attach` work on data sets that
are there.
"""
