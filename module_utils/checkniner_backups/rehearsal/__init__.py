"""A restore tried in a throwaway PostgreSQL: of a dataset on the server, before it is needed, and for drills."""
