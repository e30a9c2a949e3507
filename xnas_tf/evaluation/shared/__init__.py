"""One traced network in place of those of all cells of NAS-Bench-201."""
