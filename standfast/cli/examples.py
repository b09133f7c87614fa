"""Examples at the end of each command's help."""


def example(*lines: str) -> str:
    """The epilog of a command; the backspace is click's sign to keep the lines as they are."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
