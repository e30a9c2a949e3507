"""The other two published systems, each a tool of its own on any Keras image classifier."""
