"""What tunes and measures citewell; each module says how it is run."""
