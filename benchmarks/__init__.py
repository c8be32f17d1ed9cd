"""How fast the code is, beside the same mathematics written plainly and beside what the machine can do."""

import lassl as lassl  # before torch is loaded: it tells waiting threads how long to spin
