"""One reader for each source format; each turns a decoded file into passages that keep their place in it."""
