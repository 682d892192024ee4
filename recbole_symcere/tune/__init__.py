"""Hyper-parameter search: search spaces, results as files, plots."""
