"""Known flaws of the field's code, each a part that configuration can put in (conf/flaw/), to measure what it does."""
