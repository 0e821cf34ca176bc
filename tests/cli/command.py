"""The command line within this process: the same code as in a process of its own, without the time to start it."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from authserver.cli.program import program


class CommandLine:
    """Runs commands on the data directory that the environment names."""

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """Run one command and return exit code, stdout and stderr, whatever they are."""
        return CliRunner().invoke(program, arguments, input=stdin, prog_name="authserver")

    def text(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """Run a command that must succeed and return what it prints."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        return result.stdout

    def warned(self, *arguments: str) -> list[str]:
        """Run a command that must succeed, and return its warnings, which stand on stderr."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        assert "warning" not in result.stdout
        return result.stderr.splitlines()

    def json(self, *arguments: str, stdin: str | bytes | None = None) -> Any:
        """Run a command with `--json` that must succeed and return the document."""
        return json.loads(self.text(*arguments, "--json", stdin=stdin))

    def refusal(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """Run a command that must be refused with exit code 1, and return its one line on stderr."""
        result = self.run(*arguments, stdin=stdin)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert result.stderr.count("\n") == 1
        return result.stderr.strip()

    def usage(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """Run a command that must end as wrong usage, exit code 2, and return what it says on stderr."""
        result = self.run(*arguments, stdin=stdin)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        return result.stderr
