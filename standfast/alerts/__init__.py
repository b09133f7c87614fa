"""Events on their way out: how they are written, and the sinks that take them."""
