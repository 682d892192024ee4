"""Data as the models see it: interactions joined to their reviews, batches, histories."""
