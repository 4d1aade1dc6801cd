"""Keys, documents, parameters, secrets, logs, schedules and topics of an account."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fleet import aws
from fleet.orphans.ends import fires_at
from fleet.orphans.listed import Listed, Lister, Says, every, links
from fleet.orphans.names import document_name
from fleet.sweepers.things import Look, NotLooked, Thing, ask, price, tags_of
from stacks import naming

_OWN_LOGS = re.compile(re.escape(naming.log_group("\n", "")).replace("\\\n", "([a-z][a-z0-9-]*)"))
"""What the policy of an environment's key says: whose log groups it encrypts."""
_PROGRAM = "/opt/fleetform/bin/fleetform-node"
"""What the documents of environments run, and no other."""


def keys(look: Look) -> Iterator[Listed | NotLooked]:
    """Yield the customers' KMS keys, and which keys may not be read."""
    denied: dict[str, str] = {}
    for listed in every(look, "kms", "list_keys", "Keys"):
        try:
            yield from _key(look, listed["KeyId"])
        except Exception as error:
            if aws.error_code(error) != "AccessDeniedException":
                raise
            denied[listed["KeyId"]] = str(error).splitlines()[0]
    # AWS's own keys may refuse too, and are nobody's leftovers; their aliases tell which they are.
    for each in every(look, "kms", "list_aliases", "Aliases") if denied else ():
        if each["AliasName"].startswith("alias/aws/"):
            denied.pop(each.get("TargetKeyId", ""), None)
    for key, why in denied.items():
        yield NotLooked(title=f"KMS key {key}", why=why)


def _key(look: Look, identity: str) -> Iterator[Listed]:
    kms = look.client("kms")
    described = ask(kms.describe_key, KeyId=identity)
    if described is None or described["KeyMetadata"].get("KeyManager") == "AWS":
        return
    item = described["KeyMetadata"]
    tags = tags_of(ask(kms.list_resource_tags, KeyId=identity) or {}, "Tags", "TagKey", "TagValue")
    ending = item["KeyState"] == "PendingDeletion"
    thing = Thing(
        kind="KMS key",
        id=identity,
        stack=tags.get(naming.TAG_STACK, ""),
        usd_per_hour=0.0 if ending else price("kms_key"),
        created=item.get("CreationDate"),
        note=f"will be gone on {item['DeletionDate']:%Y-%m-%d}" if ending else item["KeyState"].lower(),
        ends_by_itself=ending,
    )
    says = None if naming.TAG_ENVIRONMENT in tags else _key_says(kms, identity)
    yield Listed(thing=thing, region=look.region, tags=tags, says=says, holds_data=True)


def _key_says(kms: Any, identity: str) -> Says | None:
    """Return whose a key without a tag is by its policy, which lets in one environment's logs alone."""
    answer = ask(kms.get_key_policy, KeyId=identity, PolicyName="default")
    found = set(_OWN_LOGS.findall(str((answer or {}).get("Policy", ""))))
    if len(found) != 1:
        return None
    return Says(found.pop(), "its policy lets in the logs of that environment alone")


def aliases(look: Look) -> Iterator[Listed]:
    """Yield the aliases of KMS keys but for AWS's own; they have no tags."""
    for item in every(look, "kms", "list_aliases", "Aliases"):
        if not item["AliasName"].startswith("alias/aws/"):
            key = item.get("TargetKeyId", "")
            yield Listed(
                thing=Thing(kind="KMS alias", id=item["AliasName"], note=f"of {key}"),
                region=look.region,
                links=links("is the name of", "KMS key", key),
            )


def documents(look: Look) -> Iterator[Listed]:
    """Yield the account's Systems Manager documents; what one runs tells whose it is."""
    filters = [{"Key": "Owner", "Values": ["Self"]}]
    for item in every(look, "ssm", "list_documents", "DocumentIdentifiers", Filters=filters):
        tags, named, says = tags_of(item), document_name(item["Name"]), None
        if named and naming.TAG_ENVIRONMENT not in tags:
            answer = ask(look.client("ssm").get_document, Name=item["Name"])
            if _PROGRAM in str((answer or {}).get("Content", "")):
                says = Says(
                    named.environment, "it runs fleetform's program, under the name of that environment"
                )
        thing = Thing(
            kind="SSM document",
            id=item["Name"],
            stack=tags.get(naming.TAG_STACK, ""),
            created=item.get("CreatedDate"),
        )
        yield Listed(thing=thing, region=look.region, tags=tags, says=says)


def parameters(look: Look) -> Iterator[Listed]:
    """Yield the Systems Manager parameters below fleetform's path."""
    root = naming.outputs_parameter("").partition("/outputs")[0]
    filters = [{"Key": "Name", "Option": "BeginsWith", "Values": [root]}]
    for item in every(look, "ssm", "describe_parameters", "Parameters", ParameterFilters=filters):
        answer = ask(
            look.client("ssm").list_tags_for_resource, ResourceType="Parameter", ResourceId=item["Name"]
        )
        if answer is None:
            continue
        tags, advanced = tags_of(answer, "TagList"), item.get("Tier") == "Advanced"
        thing = Thing(
            kind="SSM parameter",
            id=item["Name"],
            stack=tags.get(naming.TAG_STACK, ""),
            usd_per_hour=price("advanced_parameter") if advanced else 0.0,
        )
        yield Listed(thing=thing, region=look.region, tags=tags)


def secrets(look: Look) -> Iterator[Listed]:
    """Yield the secrets; one that is being deleted ends by itself."""
    for item in every(look, "secretsmanager", "list_secrets", "SecretList", IncludePlannedDeletion=True):
        tags, ending = tags_of(item), bool(item.get("DeletedDate"))
        thing = Thing(
            kind="secret",
            id=item["ARN"],
            name=item["Name"],
            stack=tags.get(naming.TAG_STACK, ""),
            usd_per_hour=0.0 if ending else price("secret"),
            created=item.get("CreatedDate"),
            ends_by_itself=ending,
        )
        yield Listed(thing=thing, region=look.region, tags=tags, holds_data=True)


def log_groups(look: Look) -> Iterator[Listed]:
    """Yield the log groups below fleetform's path; one elsewhere with our tag is found by that."""
    root = naming.log_group("", "").rstrip("/") + "/"
    for item in every(look, "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=root):
        arn = item["arn"].removesuffix(":*")
        answer = ask(look.client("logs").list_tags_for_resource, resourceArn=arn)
        if answer is None:
            continue
        gigabytes = item.get("storedBytes", 0) / 1e9
        thing = Thing(
            kind="log group",
            id=item["logGroupName"],
            stack=answer["tags"].get(naming.TAG_STACK, ""),
            usd_per_hour=price("log_storage", gigabytes),
            note=f"{gigabytes:.1f} GB",
        )
        yield Listed(thing=thing, region=look.region, tags=answer["tags"], holds_data=True)


def schedules(look: Look) -> Iterator[Listed]:
    """Yield the groups of leases' schedules, and the schedules in them, in the account's region."""
    scheduler = look.client("scheduler", look.home_region)
    for item in _named(scheduler, "list_schedule_groups", "ScheduleGroups"):
        answer = ask(scheduler.list_tags_for_resource, ResourceArn=item["Arn"])
        if answer is None:
            continue
        tags = tags_of(answer)
        stack = tags.get(naming.TAG_STACK, "")
        thing = Thing(kind="schedule group", id=item["Name"], stack=stack, created=item.get("CreationDate"))
        yield Listed(thing=thing, tags=tags)
    for item in _named(scheduler, "list_schedules", "Schedules"):
        yield from _schedule(scheduler, item["GroupName"], item["Name"])


def _named(scheduler: Any, operation: str, field: str) -> Iterator[dict[str, Any]]:
    for page in scheduler.get_paginator(operation).paginate(NamePrefix=naming.LEASE_PREFIX):
        yield from page[field]


def _schedule(scheduler: Any, group: str, name: str) -> Iterator[Listed]:
    """Yield a schedule; only the one in the group of its name is an environment's."""
    described = ask(scheduler.get_schedule, GroupName=group, Name=name) if group == name else None
    if described is not None:
        yield Listed(
            thing=Thing(
                kind="schedule",
                id=name,
                created=described.get("CreationDate"),
                note=described["State"].lower(),
            ),
            links=links("is in", "schedule group", group),
            says=_schedule_says(described.get("Target", {}).get("Input", "")),
            until=fires_at(described["ScheduleExpression"]),
            comes_along=True,
        )


def _schedule_says(text: str) -> Says | None:
    try:
        environment = json.loads(text)["environment"]
    except (KeyError, TypeError, ValueError):
        return None
    return Says(str(environment), "it ends the lease of that environment")


def topics(look: Look) -> Iterator[Listed]:
    """Yield the topics of leases, in the account's region."""
    sns = look.client("sns", look.home_region)
    for page in sns.get_paginator("list_topics").paginate():
        for arn in (each["TopicArn"] for each in page["Topics"]):
            name = arn.rpartition(":")[2]
            if not name.startswith(naming.LEASE_PREFIX):
                continue
            tags = tags_of(ask(sns.list_tags_for_resource, ResourceArn=arn) or {})
            thing = Thing(kind="SNS topic", id=arn, name=name, stack=tags.get(naming.TAG_STACK, ""))
            yield Listed(thing=thing, tags=tags)


AT_HOME = (
    Lister(title="schedules", covers=("scheduler:schedule-group",), look=schedules, complete=False),
    # The tagging API gives an ARN of a topic no type.
    Lister(title="SNS topics", covers=("sns:",), look=topics, complete=False),
)
"""Listed once, in the account's region."""
LISTERS = (
    Lister(title="KMS keys", covers=("kms:key",), look=keys),
    Lister(title="KMS aliases", covers=("kms:alias",), look=aliases),
    Lister(title="SSM documents", covers=("ssm:document",), look=documents),
    Lister(title="SSM parameters", covers=("ssm:parameter",), look=parameters, complete=False),
    Lister(title="secrets", covers=("secretsmanager:secret",), look=secrets),
    Lister(title="log groups", covers=("logs:log-group",), look=log_groups, complete=False),
)
