"""All that is done to RecBole: what it finds, how it is configured, what runs today."""
