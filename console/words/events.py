"""What the events of the ledger are called in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from console.words.reader import Reader


def event_names(reader: Reader) -> Mapping[str, str]:
    """Return the events that there are, with what each is called."""
    return {**_of_people(reader), **_of_environments(reader), **_of_runs(reader)}


def _of_people(reader: Reader) -> Mapping[str, str]:
    _ = reader.gettext
    return {
        "console.login": _("Signed in"),
        "console.logout": _("Signed out"),
        "console.prove": _("Proved who they are again"),
        "console.refuse": _("Asked for what their role does not include"),
        "console.first_account": _("Made the first account"),
        "console.join": _("Made an account by an invitation"),
        "console.change_password": _("Changed their password"),
        "console.end_sessions": _("Ended their other sessions"),
        "people.invite": _("Invited somebody"),
        "people.grant": _("Gave a role"),
        "people.take": _("Took a role away"),
        "people.disable": _("Kept somebody out"),
        "people.enable": _("Let somebody in again"),
        "server.enter": _("Entered a server"),
        "server.entered": _("Began a session on a server"),
        "record.verify": _("Verified the record"),
        "record.export": _("Exported the record"),
        "record.take": _("Downloaded an exported pack"),
        "record.look": _("Looked at somebody's record"),
        "record.transcript": _("Read the transcript of a session"),
        "review.sign": _("Signed a review"),
    }


def _of_environments(reader: Reader) -> Mapping[str, str]:
    _ = reader.gettext
    return {
        "environment.declare": _("Declared an environment"),
        "environment.up": _("Built an environment, or changed it"),
        "environment.down": _("Tore an environment down"),
        "environment.drift": _("Looked for changes behind Terraform's back"),
        "environment.selftest": _("Tested an environment"),
        "environment.lease_ended": _("Ended machines whose lease was over"),
        "environment.idle": _("Set an idle fleet to zero, or warned of it"),
        "lease.extended": _("Extended a lease"),
        "lease.warned": _("Warned of a lease's end"),
        "lease.beyond_limit": _("Told of a lease that ends too late"),
        "state.unlock": _("Took a lock off Terraform's state"),
        "teardown.found": _("Noted what stood before a teardown"),
        "account.sweep": _("Deleted what was left over in the account"),
        "thing.deleted": _("Deleted something that was left over"),
        "thing.tagged": _("Tagged something that is left over and stays"),
    }


def _of_runs(reader: Reader) -> Mapping[str, str]:
    _ = reader.gettext
    return {
        "launch.ask": _("Asked for a launch to be approved"),
        "launch.approve": _("Answered a launch that needs approval"),
        "run.submit": _("Submitted a run"),
        "run.resume": _("Went on with a run"),
        "run.cancel": _("Ended a run"),
        "run.ended": _("Noted the end of a run"),
        "run.idle": _("Warned of an idle run, or stopped it"),
        "run.fetch": _("Fetched a run's files"),
        "run.hold": _("Held a run back"),
        "run.release": _("Let a held run go"),
        "run.requeue": _("Put a run back into the queue"),
        "model.try": _("Tried a model"),
        "model.take": _("Took a model home"),
    }


def event_name(reader: Reader, event: str) -> str:
    """Return what an event is called; one that has no name here keeps its code."""
    return event_names(reader).get(event, event)


def fault_name(reader: Reader, fault: str) -> str:
    """Return what does not fit in the chain (fleet/ledger_links.py)."""
    _ = reader.gettext
    names = {
        "missing": _("the entry is missing"),
        "changed": _("its content does not give its hash"),
        "not linked": _("it is not linked to the entry before it"),
    }
    return names.get(fault, fault)
