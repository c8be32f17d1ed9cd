"""Known flaws of the field's code, each a part that its file in conf/flaw/ puts in, to measure what it does."""
