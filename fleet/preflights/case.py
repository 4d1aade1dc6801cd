"""What a live rule looks at: an environment's spec, and facts of the cloud, each asked for once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fleet import aws
from fleet.cloud import Cloud
from fleet.listings.things import tags_of
from stacks import naming
from stacks.account import AccountSpec
from stacks.environment import EnvironmentSpec
from stacks.fleet_spec import FleetSpec
from stacks.problems import Problem

Answer = TypeVar("Answer")


class NotAskedError(Exception):
    """A question that the cloud refused or did not answer; the rules that need it find nothing."""

    def __init__(self, question: str, action: str, error: Exception) -> None:
        self.question, self.action = question, action
        """What was to be learnt, in plain words, and the permission that it takes."""
        self.code = aws.error_code(error)
        sentence = str(error)
        super().__init__(f"{question} could not be asked ({sentence})")


@dataclass(frozen=True)
class LiveCase:
    """One environment under the live rules."""

    cloud: Cloud
    account: AccountSpec
    spec: EnvironmentSpec
    _answers: dict[object, Future[Any]] = field(default_factory=dict)
    _clients: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def problem(self, path: str, what: str, do: str) -> Problem:
        """Return a problem at the path in this environment's file."""
        return Problem(file=f"environments/{self.spec.name}.toml", path=path, what=what, do=do)

    def ask(self, question: str, action: str, how: Callable[[], Answer], *about: object) -> Answer:
        """Return what `how` answers, asked once for these words and whatever it is `about`.

        Raises NotAskedError where the cloud refuses or is silent; `action` is the permission that it takes.
        """
        key = (question, *about)
        with self._lock:
            known = self._answers.get(key)
            answer: Future[Answer] = known or self._answers.setdefault(key, Future())
        if known is None:
            try:
                answer.set_result(how())
            except Exception as error:
                answer.set_exception(
                    NotAskedError(question, action, error) if aws.is_cloud_error(error) else error
                )
        return answer.result()

    def client(self, service: str) -> Any:
        """Return the service's client in the environment's region, made once: a call is quicker."""
        # boto3 does not let two threads make clients of one session at a time.
        with _CLIENTS:
            if service not in self._clients:
                self._clients[service] = aws.client(self.cloud, service, self.spec.region, attempts=3)
            return self._clients[service]

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Mapping[str, Any]]:
        """Return the items under `key` of every page of an operation."""
        paginator = self.client(service).get_paginator(operation)
        return [item for page in paginator.paginate(**arguments) for item in page.get(key, [])]

    def instances(self) -> list[Mapping[str, Any]]:
        """Return every instance in the region that runs or starts, whoever it belongs to."""

        def look() -> list[Mapping[str, Any]]:
            states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
            reservations = self.pages("ec2", "describe_instances", "Reservations", Filters=states)
            return [instance for each in reservations for instance in each["Instances"]]

        return self.ask("what runs in the region", "ec2:DescribeInstances", look)

    def is_ours(self, thing: Mapping[str, Any]) -> bool:
        """Return whether something with tags belongs to this environment."""
        return tags_of(thing).get(naming.TAG_ENVIRONMENT) == self.spec.name


_CLIENTS = threading.Lock()

LiveRule = Callable[[LiveCase], Iterator[Problem]]


def fleets_of(case: LiveCase) -> Iterable[tuple[str, FleetSpec]]:
    """Return the fleets by the path of their table, `fleets.gpu`."""
    return [(f"fleets.{name}", fleet) for name, fleet in case.spec.fleets.items()]
