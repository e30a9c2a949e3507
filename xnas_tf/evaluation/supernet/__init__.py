"""A supernet of all NAS-Bench-201 cells, which is traced once for all candidates."""
