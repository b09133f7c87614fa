"""The terminal: one file for each group of commands. Errors become a message and an exit code, never a traceback."""
