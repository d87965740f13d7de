"""The history: which tables had how many rows in each archive, so that nobody has to download archives to know."""
