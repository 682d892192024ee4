"""One reader per source: a file in, a `records.Reading` out."""
