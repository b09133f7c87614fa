"""How each kind of queue manager is started, asked and stopped. One file per kind; `registry.driver` hands them out."""
