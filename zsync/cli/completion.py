"""`zsync completion`: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

from typing import Annotated

import typer

from zsync.cli.base import app, door
from zsync.cli.choices import SHELLS
from zsync.cli.command import command
from zsync.cli.output import say
from zsync.errors import ConfigError


@command(
    app,
    "completion",
    'eval "$(zsync completion bash)"                                 # this shell; in ~/.bashrc: every one; so for zsh',
    "zsync completion fish > ~/.config/fish/completions/zsync.fish",
)
def completion(
    shell: Annotated[
        str, typer.Argument(metavar="|".join(SHELLS), autocompletion=lambda: list(SHELLS), help="The shell.")
    ],
) -> None:
    """Print a script that has a shell complete commands, options and their values: products, profiles, publications."""
    with door():
        if shell not in SHELLS:
            raise ConfigError("this is no shell that is known", shell, f"take one of {', '.join(SHELLS)}")
        from typer._completion_shared import get_completion_script

        script = get_completion_script(prog_name="zsync", complete_var="_ZSYNC_COMPLETE", shell=shell)
        say(script.replace(_COMPDEF, _ZSH) if shell == "zsh" else script)


# As a file of `fpath` it is run for what is to be completed, the first time as well; and not everybody has `compinit`.
_COMPDEF = "compdef _zsync_completion zsync"
_ZSH = f"""if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _zsync_completion "$@"
else
  (( $+functions[compdef] )) || {{ autoload -U compinit && compinit }}
  {_COMPDEF}
fi"""
