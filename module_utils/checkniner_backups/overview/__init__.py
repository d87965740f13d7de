"""All servers of an inventory on one table and one page: what needs a human first, and what the store holds."""
