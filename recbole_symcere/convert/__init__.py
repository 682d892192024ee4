"""Converters: a raw review dump in, one data set folder out.

Importing this package loads nothing heavy; its modules import polars, pyarrow and numpy, never
torch or RecBole. The way through it::

    amazon2014 | generic | synthetic   -> reviews in records.SCHEMA and a ReadReport
    clean, kcore                       -> the reviews that stay, in a fixed order
    writer                             -> <output_dir>/<name>/, complete or not at all
    command                            -> the command line and what it prints
"""
