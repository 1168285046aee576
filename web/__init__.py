"""Everything that faces the network."""
