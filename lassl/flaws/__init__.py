"""Known flaws of the field's code; the files in conf/flaw/ switch them on, to measure their effect."""
