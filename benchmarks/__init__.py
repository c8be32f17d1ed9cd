"""How fast the code is, beside the same mathematics written plainly and beside what the machine can do."""
