"""One file for each command: `add` declares its arguments, `run` carries it out."""
