"""Whether the account's quotas hold what a run's fleet would grow to, and how much they hold otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.launch_room import shortage
from fleet.project import Project
from fleet.session import Session
from tests.live_cases import live_case, set_quota

pytestmark = pytest.mark.sandbox
REGION = "eu-west-3"
G_AND_VT = "L-DB2E81BA"


@pytest.fixture
def session(sandbox: Cloud) -> Session:
    """An environment of one g5.xlarge (4 vCPUs) that may grow to eight."""
    case = live_case(sandbox, REGION, fleet={"nodes": 1, "max_nodes": 8})
    return Session(Project(Path(), Path()), sandbox, case.account, case.spec)


def test_a_quota_that_holds_fewer_machines_says_how_many(sandbox: Cloud, session: Session) -> None:
    set_quota(sandbox, REGION, G_AND_VT, 12)
    assert shortage(session, "gpu", 3) is None
    found = shortage(session, "gpu", 5)
    assert found is not None and found.nodes == 3
    assert "has 12 of 12 vCPUs left, and the nodes need 20" in found.problem.what
    set_quota(sandbox, REGION, G_AND_VT, 3)
    none = shortage(session, "gpu", 2)
    assert none is not None and none.nodes == 0


def test_nothing_is_asked_for_nodes_that_always_run(session: Session) -> None:
    nowhere = Session(session.project, Cloud("sandbox", {}), session.account, session.spec)
    assert shortage(nowhere, "gpu", 1) is None
