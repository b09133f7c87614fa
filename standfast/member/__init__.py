"""One member: the daemon that carries out what the core decides, and the warden that keeps its word for it."""
