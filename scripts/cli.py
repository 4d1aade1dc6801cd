"""The `fleetform` command: finds the verb, loads that one module, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

VERBS: dict[str, tuple[str, str]] = {
    "init": ("scripts.init", "Write a new environment's commented file."),
    "check": ("scripts.check", "List every problem of the environments' files."),
    "synth": ("scripts.synth", "Write the Terraform JSON of an environment."),
    "plan": ("scripts.plan", "Show what Terraform would change."),
    "up": ("scripts.up", "Build an environment, or bring it up to date."),
    "run": ("scripts.run", "Run a recipe or a script on an environment's fleet."),
    "speedup": ("scripts.speedup", "Measure what several processes are worth to a job."),
    "runs": ("scripts.runs", "List an environment's runs, plot one, say where its time went."),
    "status": ("scripts.status", "Show one run."),
    "logs": ("scripts.logs", "Print a run's log."),
    "fetch": ("scripts.fetch", "Copy a run's outputs to this machine."),
    "cancel": ("scripts.cancel", "Stop a run."),
    "data": ("scripts.data", "Look at data, and check it before it is trained on."),
    "try": ("scripts.try_model", "Ask a run's model about a picture, a row or a text."),
    "model": ("scripts.model", "Take a run's model home, or read where it is from."),
    "queue": ("scripts.queue", "Show the runs that wait and that are carried out."),
    "hold": ("scripts.hold", "Keep a run that waits from being started."),
    "release": ("scripts.release", "Let a held run be started again."),
    "requeue": ("scripts.requeue", "Stop a run and put it back into the queue."),
    "top": ("scripts.top", "Show what the nodes and their GPUs do now."),
    "enter": ("scripts.enter", "Open a shell on a machine, with a reason and on record."),
    "selftest": ("scripts.selftest", "Try a fleet: all-reduce, files, training, interruption."),
    "drift": ("scripts.drift", "Compare what stands with what was declared, and rank it."),
    "lease": ("scripts.lease", "Show when an environment ends, and put that off."),
    "budget": ("scripts.budget", "Say what an environment has cost this month, and what is left."),
    "cost": ("scripts.cost", "Say what environments came to: useful, idle, failed, left over."),
    "down": ("scripts.down", "Tear an environment down and prove that nothing is left."),
    "sweep": ("scripts.sweep", "Look through the account for what is left over, and delete it."),
    "audit": ("scripts.audit", "Read, verify and export the ledger."),
    "console": ("scripts.console", "Serve the web console."),
    "sandbox": ("scripts.sandbox", "Run the embedded cloud on this machine."),
}
"""Every verb with its module and its one line; the module is imported only when the verb is used."""

EXIT_FAILED, EXIT_MISTAKE, EXIT_INTERRUPTED = 1, 2, 130


class LazyGroup(click.Group):
    """A group that lists its verbs from VERBS and imports a verb's module when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which a user meets them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the verb's command, or None for an unknown one."""
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(VERBS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing any of them: `--help` stays quick."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fleetform")
def cli() -> None:
    """Declare a team's GPU environment, build it, train on it, tear it down with proof.

    An environment is one file, environments/NAME.toml. Without a cloud account, start with
    `fleetform sandbox start`.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code, as docs/architecture.md lists them."""
    from scripts.console_io import live
    from stacks.problems import UserError

    try:
        result = cli.main(args=arguments, prog_name="fleetform", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as exit_request:
        return exit_request.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        live.clear()
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except UserError as error:
        live.clear()
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        _tell_notes(error)
        return EXIT_MISTAKE
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone (`| head`); there is nobody to tell
        return EXIT_FAILED
    except Exception as error:
        message = _failure(error)
        if message is None:
            raise
        live.clear()
        click.echo(f"failed: {message}", err=True)
        _tell_notes(error)
        return EXIT_FAILED


def _tell_notes(error: Exception) -> None:
    """Print what was added to an error on its way: that it could not be recorded yet."""
    for text in getattr(error, "__notes__", ()):
        click.echo(f"warning: {text}", err=True)


def _failure(error: Exception) -> str | None:
    """Return the sentence for a failure of the world, or None for a bug of ours: that shows its traceback."""
    import errno

    from fleet.aws import is_cloud_error
    from fleet.errors import ActError

    if isinstance(error, ActError):
        return str(error)
    if is_cloud_error(error):
        return f"the cloud refused or did not answer: {error}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" for {error.filename}" if error.filename else ""
        return f"no room is left on this machine's disk{where}: make some, and give the command again"
    return None


if __name__ == "__main__":
    sys.exit(main())
