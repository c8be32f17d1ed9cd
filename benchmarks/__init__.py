"""How fast the code is, beside the same mathematics written plainly and beside what the machine can do."""

from lassl.plumbing import threads

threads.set_defaults()  # before torch is loaded
