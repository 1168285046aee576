"""Source files to passages to chunks; imports nothing of the other packages."""
