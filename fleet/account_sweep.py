"""Looking through a whole account for what fleetform has left there, by the cloud's own listings alone."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from fleet import aws
from fleet.listings import budgets, identities, machines, networks, services, stores
from fleet.listings.listed import Listed, Lister
from fleet.listings.names import own_name, region_at_end
from fleet.listings.things import Look, NotLooked, tags_of
from fleet.orphans import lives
from fleet.orphans.judge import VERDICTS, judge
from fleet.orphans.lives import Lives
from fleet.orphans.proofs import Account
from fleet.orphans.report import AccountSweep
from fleet.session import AccountSession
from fleet.stores import RETAIN
from fleet.sweep import attempt, is_known, shared_clients, tagged_thing
from stacks import naming
from stacks.catalog import known_regions
from stacks.environment import EnvironmentSpec
from stacks.guardrails import read_folder
from stacks.problems import Problem, UserError, nearest

EVERYWHERE = (*identities.EVERYWHERE, *stores.EVERYWHERE, *budgets.EVERYWHERE)
IN_REGION = (*machines.LISTERS, *networks.LISTERS, *stores.LISTERS, *services.LISTERS)
_AT_ONCE = 8


class _Answer(NamedTuple):
    """What one lister saw in one region; "" for what belongs to no region."""

    lister: Lister
    region: str
    listed: list[Listed]
    unseen: list[NotLooked]


def sweep_account(
    session: AccountSession, regions: Sequence[str] = (), environments: Collection[str] = ()
) -> AccountSweep:
    """Look through the account in the regions; without any, in its own and those of its environments' files.

    `environments` limits what is told, not what is looked at. Raises UserError where the caller's role does
    not allow it, or the cloud does not answer.
    """
    session.require("account.look")
    _require_known(regions)
    account = _account(session)
    home = look_in(session, session.account.region)
    answers = _ask_all([(each, "", home) for each in (*EVERYWHERE, *services.AT_HOME)])
    account = replace(account, regions=tuple(regions) or _regions(account, answers))
    answers += _look_in_regions(session, account.regions, answers)
    listed = [each for answer in answers for each in answer.listed]
    unseen = [each for answer in answers for each in answer.unseen]
    alive, refused = _lives(session, answers, listed)
    found = judge(listed, alive, account)
    heard = {each.tags.get(naming.TAG_ENVIRONMENT) for each in listed} | {each.environment for each in found}
    if environments:
        found = [each for each in found if each.environment in environments]
    found.sort(key=lambda each: (VERDICTS.index(each.verdict), each.environment, *each.listed.key))
    return AccountSweep(
        cloud=str(session.cloud),
        account=account,
        listed=len(listed),
        found=tuple(found),
        not_looked=(*unseen, *refused),
        unheard=tuple(sorted(set(environments) - heard - account.environments)),
    )


def _account(session: AccountSession) -> Account:
    """Return the account with what its files tell; those that cannot be read, or are gone, tell nothing."""
    assert session.caller, "the cloud has answered"
    answer = aws.client(session.cloud, "sts", session.account.region).get_caller_identity()
    folder = read_folder(session.project.environments)
    specs = folder.specs.values()
    own = {session.account.region, *(each.region for each in specs)}
    return Account(
        id=str(answer["Account"]),
        organization=session.account.organization,
        regions=tuple(sorted(own)),
        now=parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(datetime.UTC),
        environments=frozenset(each.name for each in specs),
        fleets=frozenset(fleet for each in specs for fleet in each.fleets),
        retains=frozenset((each.name, kind) for each in specs for kind in _retained(each)),
    )


def _retained(spec: EnvironmentSpec) -> Iterator[str]:
    """Yield the kinds of stores that a teardown of the environment keeps, and what they are read with."""
    fates = {
        "S3 bucket": (spec.artifacts.on_teardown, spec.datasets.on_teardown),
        "EFS file system": (spec.efs.on_teardown,) if spec.efs.enabled else (),
        "FSx file system": (spec.fsx.on_teardown,) if spec.fsx.kind == "persistent" else (),
    }
    kept = [kind for kind, told in fates.items() if RETAIN in told]
    yield from (*kept, "KMS key", "KMS alias") if kept else ()


def _require_known(regions: Iterable[str]) -> None:
    """Raise UserError with every region that there is not."""
    problems = []
    for each in regions:
        if each not in known_regions():
            near = nearest(each, known_regions())
            do = f"did you mean {near}?" if near else "name one such as eu-central-1"
            problems.append(Problem(path="--region", what=f"there is no region {each}", do=do))
    if problems:
        raise UserError(problems)


def look_in(session: AccountSession, region: str) -> Look:
    """Return what a listing of everything in a region needs; it is about no single environment."""
    return Look(
        environment="",
        organization=session.account.organization,
        region=region,
        fleets=(),
        client=shared_clients(session.cloud, region),
        home_region=session.account.region,
    )


def _regions(account: Account, answers: Iterable[_Answer]) -> tuple[str, ...]:
    """Return the regions to look at: those of the files, and those in the names of what is everywhere."""
    ours = (
        each
        for answer in answers
        for each in answer.listed
        if each.says or naming.TAG_ENVIRONMENT in each.tags or own_name(each.key, each.name)
    )
    told = {region_at_end(each.name) for each in ours} - {""}
    return tuple(sorted(told | set(account.regions)))


def _look_in_regions(
    session: AccountSession, regions: Iterable[str], before: Sequence[_Answer]
) -> list[_Answer]:
    """Return what every listing answers in the regions, and what the tagging API knows beside all of them."""
    looks = {region: look_in(session, region) for region in regions}
    answers = _ask_all([(lister, region, look) for region, look in looks.items() for lister in IN_REGION])
    known = [*before, *answers]
    return answers + _ask_all([(_by_tag(region, known), region, look) for region, look in looks.items()])


def _ask_all(tasks: Sequence[tuple[Lister, str, Look]]) -> list[_Answer]:
    """Return what the listers answer, each in its region, asked side by side."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(lambda task: _ask(*task), tasks))


def _ask(lister: Lister, region: str, look: Look) -> _Answer:
    """Return what one lister answers; a refusal becomes a statement that nobody looked there."""
    title = f"{lister.title} in {region}" if region else lister.title
    answer = attempt(title, lambda: lister.look(look))
    listed = [each for each in answer if isinstance(each, Listed)]
    return _Answer(lister, region, listed, [each for each in answer if isinstance(each, NotLooked)])


def _by_tag(region: str, answers: Iterable[_Answer]) -> Lister:
    """Return what has our tag and no listing knows better: of services that the stacks do not use."""
    known: dict[str, set[str] | None] = {}
    for answer in answers:
        if answer.region in ("", region):
            whole = answer.lister.complete and not answer.unseen
            ids = {name for each in answer.listed for name in (each.thing.id, each.name)}
            for kind in answer.lister.covers:
                seen = known.get(kind, set())
                known[kind] = None if whole else (seen | ids if seen is not None else None)
    return Lister(title="everything with our tag", covers=(), look=lambda asked: _tagged(asked, known))


def _tagged(look: Look, known: dict[str, set[str] | None]) -> Iterator[Listed]:
    filters = [{"Key": naming.TAG_ENVIRONMENT}]
    for each in look.pages(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters
    ):
        tags = tags_of(each)
        thing = tagged_thing(each["ResourceARN"], tags)
        if not is_known(thing, known):
            thing = replace(thing, kind=thing.kind.removesuffix(":"))
            yield Listed(thing=thing, region=look.region, tags=tags, holds_data=True)


def _lives(
    session: AccountSession, answers: Iterable[_Answer], listed: Collection[Listed]
) -> tuple[Lives | None, list[NotLooked]]:
    """Return which environments stand, None where what tells it was refused; and what else was refused."""
    look = look_in(session, session.account.region)
    held: list[str] = []
    refused: list[NotLooked] = []
    try:
        held = lives.held_states(look)
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        refused.append(NotLooked(title=lives.LOCKS, why=str(error).splitlines()[0]))
    blind = refused or any(each.unseen and each.lister.title in lives.TITLES for each in answers)
    return (None if blind else lives.find_lives(listed, held)), refused
