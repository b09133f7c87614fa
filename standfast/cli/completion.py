"""`standfast completion`: the script that makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

from standfast.cli.examples import example
from standfast.cli.main import main


@click.command(
    short_help="Print the completion script for a shell.",
    epilog=example(
        'eval "$(standfast completion bash)"                    in ~/.bashrc',
        'eval "$(standfast completion zsh)"                     in ~/.zshrc',
        "standfast completion fish > ~/.config/fish/completions/standfast.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "standfast", "_STANDFAST_COMPLETE").source())
