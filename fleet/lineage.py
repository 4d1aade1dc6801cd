"""Where a model is from: which data, settings, code and machines made it, as far as its run recorded that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fleet.fetch import recorded_digests
from fleet.run_store import RunStore
from fleet.runs import RunStatus, read_run
from stacks.problems import UserError

FORMAT = "fleetform-lineage/1"
FOLDER = "model/"
_ABOUT = "about.json"


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One file of the model."""

    name: str
    """Its name in the run, `model/config.json`."""
    size: int
    sha256: str
    """As the node recorded it when it uploaded it; "" where it recorded none."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """A model and all that it came of. What is "" or empty is not known; `gaps` says why that matters."""

    run_id: str
    environment: str
    actor: str
    """Who submitted the run, as the cloud names them."""
    submitted: str
    """UTC, as all times here."""
    ended: str
    attempts: int
    program: str
    """The recipe or the script."""
    overrides: tuple[str, ...]
    settings_digest: str
    """SHA-256 of every setting of the training as canonical JSON; they are in `model/config.json`."""
    data_name: str
    data_digest: str
    """SHA-256 of the prepared data's about.json, which has those of all its files."""
    data_source: str
    data_licence: str
    upload_digest: str
    """Under which the data lies in the dataset bucket."""
    code_sha256: str
    """Of the archive of a script's folder; a recipe's code is fleetform's own."""
    code_commit: str
    """Of the repository that the script lay in; with `+` where files had been changed since."""
    packages_sha256: str
    torch: str
    machines: tuple[str, ...]
    """Instance type of each node, by rank."""
    processes: int
    """Of all nodes together."""
    usd: float | None
    """List price of the run, all attempts; None where it is not known."""
    metrics: Mapping[str, Any]
    """Measured on held-out data."""
    model_sha256: str
    """Of the lines `SHA-256  name` of its files, as `sha256sum` writes them."""
    files: tuple[ModelFile, ...]
    gaps: tuple[str, ...]
    """What can't be told or does not fit, one sentence each; none where the chain is whole."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"format": FORMAT, **asdict(self)}


def lineage(store: RunStore, run_id: str) -> Lineage:
    """Return where a run's model is from; raises UserError where there is no such run, or it has no model."""
    status = read_run(store, run_id)
    files = model_files(store, status)
    config = store.get_json(run_id, "model/config.json") or {}
    run = store.get_json(run_id, "run.json") or {}
    receipt = store.get_json(run_id, "receipt.json") or {}
    data, code = config.get("data", {}), run.get("code") or {}
    cost = receipt.get("cost") or {}
    training = config.get("training")
    return Lineage(
        run_id=run_id,
        environment=str(run.get("environment", "")),
        actor=status.actor,
        submitted=str(run.get("submitted", "")),
        ended=status.ended or "",
        attempts=status.attempt,
        program=status.program,
        overrides=tuple(run.get("overrides", ())),
        settings_digest=_digest(_canonical(training)) if training else "",
        data_name=str(data.get("name", "")),
        data_digest=str(data.get("digest", "")),
        data_source=str(data.get("source", "")),
        data_licence=str(data.get("licence", "")),
        upload_digest=str((run.get("dataset") or {}).get("sha256", "")),
        code_sha256=str(code.get("sha256", "")),
        code_commit=_commit(code.get("git") or {}),
        packages_sha256=str((run.get("packages") or {}).get("sha256", "")),
        torch=str(config.get("torch", "")),
        machines=tuple(str(node["instance_type"]) for node in status.placed),
        processes=status.nodes * status.procs_per_node,
        usd=cost.get("usd"),
        metrics=config.get("metrics", {}),
        model_sha256=_digest("".join(f"{file.sha256}  {file.name}\n" for file in files)),
        files=files,
        gaps=tuple(_gaps(run, config, store.get_json(run_id, "data.json"), files)),
    )


def model_files(store: RunStore, run: RunStatus) -> tuple[ModelFile, ...]:
    """Return the model's files by name; raises UserError where there are none."""
    sizes = store.sizes(run.run_id, FOLDER)
    if not sizes:
        do = "wait for its end" if run.active else "take a run of a recipe that has SUCCEEDED"
        raise UserError.of(f"the run {run.run_id} is {run.state} and has no model", do, path="RUN")
    digests = recorded_digests(store, run.run_id)
    return tuple(
        ModelFile(name=name, size=size, sha256=digests.get(name, "")) for name, size in sorted(sizes.items())
    )


def _gaps(
    run: Mapping[str, Any],
    config: Mapping[str, Any],
    data_check: Mapping[str, Any] | None,
    files: tuple[ModelFile, ...],
) -> Iterator[str]:
    """Yield what of the chain can't be told, or contradicts itself."""
    if unsaid := [file.name for file in files if not file.sha256]:
        yield f"no node has recorded the digest of {', '.join(unsaid)}"
    if not config:
        yield "the model has no config.json: it is not the trainer's own"
    digest = config.get("data", {}).get("digest")
    if not digest:
        yield "the model does not say which data it was trained on"
    elif data_check is not None and data_check.get("digest") != digest:
        yield "the run's data check is of other data than the model says that it was trained on"
    elif (sent := _sent_digest(run)) and sent != digest:
        yield "the data that was uploaded for the run is not what the model says that it was trained on"
    code = run.get("code") or {}
    if run.get("script") and not (code.get("git") or {}).get("commit"):
        yield "the script lay in no repository: its code is known by the digest of its archive alone"
    if not run.get("script"):
        yield "which version of fleetform's own trainer the nodes had is not recorded with the run"


def _sent_digest(run: Mapping[str, Any]) -> str:
    """Return the digest of the about.json that was uploaded for the run, "" where none was."""
    files = (run.get("dataset") or {}).get("files", ())
    found = (file["sha256"] for file in files if str(file["name"]).rpartition("/")[2] == _ABOUT)
    return next(found, "")


def _commit(git: Mapping[str, Any]) -> str:
    commit = str(git.get("commit", ""))
    return f"{commit}+" if commit and git.get("dirty_files") else commit


def _canonical(table: Any) -> str:
    return json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
