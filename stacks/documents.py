"""The only commands that are ever sent to an environment's machines, as Systems Manager documents."""

from __future__ import annotations

from collections.abc import Iterator

from stacks import naming
from stacks.aws.generated import ssm
from stacks.aws.layer import literal
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from templates.engine import render
from templates.ssm_documents import (
    OWN_RUN_ID_PATTERN,
    RUN_ID_PATTERN,
    QueueDocument,
    RunJobDocument,
    RunNodeDocument,
    team_run_id_pattern,
)


def add_documents(stack: Stack, spec: EnvironmentSpec) -> None:
    """Add the documents: to submit a run and to act on it, for each team, and to start one node's part."""
    for name, title, text in _documents(spec):
        ssm.SsmDocument(
            stack,
            name,
            name=title,
            document_type="Command",
            document_format="YAML",
            target_type="/AWS::EC2::Instance",
            content=literal(render(text)),
        )


def _documents(
    spec: EnvironmentSpec,
) -> Iterator[tuple[str, str, RunJobDocument | QueueDocument | RunNodeDocument]]:
    """Yield name in the stack, name in the cloud, and text of each document."""
    own_ids = OWN_RUN_ID_PATTERN if spec.further_teams else RUN_ID_PATTERN
    teams = [("", own_ids), *((each, team_run_id_pattern(each)) for each in spec.further_teams)]
    for team, pattern in teams:
        suffix = f"_{team}" if team else ""
        submit = RunJobDocument(environment=spec.name, team=team or spec.own_team, run_id_pattern=pattern)
        yield f"run_job{suffix}", naming.run_document(spec.name, team), submit
        if spec.scheduler.is_slurm:
            queue = QueueDocument(environment=spec.name, team=team or spec.own_team, run_id_pattern=pattern)
            yield f"queue{suffix}", naming.queue_document(spec.name, team), queue
    # Under Slurm nothing sends it, except on an embedded cloud, which may run the plain engine all the same.
    yield "run_node", naming.node_document(spec.name), RunNodeDocument(environment=spec.name)
