"""The command ``compare``: many models, data sets and seeds in one honest table."""
