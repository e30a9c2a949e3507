"""A search on several groups of ranks: Ray places, watches and replaces them."""
