"""Keys, documents, parameters, secrets, logs, schedules and topics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fleet import aws
from fleet.listings.ends import fires_at
from fleet.listings.listed import Listed, Lister, Says, links
from fleet.listings.names import document_name, stack_names
from fleet.listings.things import Look, NotLooked, Thing, ask, price, tags_of
from stacks import naming

_OWN_LOGS = re.compile(re.escape(naming.log_group("\n", "")).replace("\\\n", "([a-z][a-z0-9-]*)"))
"""What the policy of an environment's key says: whose log groups it encrypts."""
_PROGRAM = "/opt/fleetform/bin/fleetform-node"
"""What the documents of environments run, and no other."""


def keys(look: Look) -> Iterator[Listed | NotLooked]:
    """Yield the customers' KMS keys, and which keys may not be read."""
    denied: dict[str, str] = {}
    for listed in look.pages("kms", "list_keys", "Keys"):
        try:
            yield from _key(look, listed["KeyId"])
        except Exception as error:
            if aws.error_code(error) != "AccessDeniedException":
                raise
            denied[listed["KeyId"]] = str(error).splitlines()[0]
    # AWS's own keys may refuse too, and are nobody's leftovers; their aliases tell which they are.
    for each in look.pages("kms", "list_aliases", "Aliases") if denied else ():
        if each["AliasName"].startswith("alias/aws/"):
            denied.pop(each.get("TargetKeyId", ""), None)
    for key, why in denied.items():
        yield NotLooked(title=f"KMS key {key}", why=why)


def _key(look: Look, identity: str) -> Iterator[Listed]:
    """Yield the key if it is a customer's; one that is pending deletion ends by itself."""
    kms = look.client("kms")
    tags = tags_of(ask(kms.list_resource_tags, KeyId=identity) or {}, "Tags", "TagKey", "TagValue")
    described = ask(kms.describe_key, KeyId=identity) if look.wants("", tags) else None
    if described is None or described["KeyMetadata"].get("KeyManager") == "AWS":
        return
    item = described["KeyMetadata"]
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
    made = stack_names(look, "KMS alias")
    for item in look.pages("kms", "list_aliases", "Aliases"):
        if not item["AliasName"].startswith("alias/aws/") and look.wants(item["AliasName"], {}, made):
            key = item.get("TargetKeyId", "")
            yield Listed(
                thing=Thing(kind="KMS alias", id=item["AliasName"], note=f"of {key}"),
                region=look.region,
                links=links("is the name of", "KMS key", key),
            )


def documents(look: Look) -> Iterator[Listed]:
    """Yield our own Systems Manager documents."""
    filters, made = [{"Key": "Owner", "Values": ["Self"]}], stack_names(look, "SSM document")
    for item in look.pages("ssm", "list_documents", "DocumentIdentifiers", Filters=filters):
        name, tags = item["Name"], tags_of(item)
        if look.wants(name, tags, made):
            stack, created = tags.get(naming.TAG_STACK, ""), item.get("CreatedDate")
            # An environment's own are told by their whole names.
            says = None if look.environment or naming.TAG_ENVIRONMENT in tags else _document_says(look, name)
            thing = Thing(kind="SSM document", id=name, stack=stack, created=created)
            yield Listed(thing=thing, region=look.region, tags=tags, says=says)


def _document_says(look: Look, name: str) -> Says | None:
    """Return whose a document without a tag is, by what it runs and by its name."""
    named = document_name(name)
    answer = ask(look.client("ssm").get_document, Name=name) if named else None
    if named is None or _PROGRAM not in str((answer or {}).get("Content", "")):
        return None
    return Says(named.environment, "it runs fleetform's program, under the name of that environment")


def parameters(look: Look) -> Iterator[Listed]:
    """Yield the Systems Manager parameters below fleetform's path, or below the environment's."""
    root = naming.outputs_parameter(look.environment).removesuffix("outputs").replace("//", "/")
    filters = [{"Key": "Name", "Option": "BeginsWith", "Values": [root]}]
    for item in look.pages("ssm", "describe_parameters", "Parameters", ParameterFilters=filters):
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
    made = stack_names(look, "secret")
    for item in look.pages("secretsmanager", "list_secrets", "SecretList", IncludePlannedDeletion=True):
        tags, ending = tags_of(item), bool(item.get("DeletedDate"))
        if not look.wants(item["Name"], tags, made):
            continue
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
    """Yield the log groups below fleetform's path, or the environment's; others are found by their tag."""
    root = naming.log_group(look.environment, "").replace("//", "/")
    for item in look.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=root):
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


def schedule_groups(look: Look) -> Iterator[Listed]:
    """Yield the groups of leases' schedules, in the account's region."""
    scheduler, made = look.client("scheduler", look.home_region), stack_names(look, "schedule group")
    for item in _named(scheduler, "list_schedule_groups", "ScheduleGroups"):
        # Of what is another environment's not even the tags may be read by everybody.
        if look.environment and item["Name"] not in made:
            continue
        answer = ask(scheduler.list_tags_for_resource, ResourceArn=item["Arn"])
        tags = tags_of(answer or {})
        if answer is not None and look.wants(item["Name"], tags, made):
            stack, created = tags.get(naming.TAG_STACK, ""), item.get("CreationDate")
            thing = Thing(kind="schedule group", id=item["Name"], stack=stack, created=created)
            yield Listed(thing=thing, tags=tags)


def schedules(look: Look) -> Iterator[Listed]:
    """Yield the schedules of leases, in the account's region; they go with their group."""
    scheduler = look.client("scheduler", look.home_region)
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
    sns, made = look.client("sns", look.home_region), stack_names(look, "SNS topic")
    for page in sns.get_paginator("list_topics").paginate():
        for arn in (each["TopicArn"] for each in page["Topics"]):
            name = arn.rpartition(":")[2]
            if name not in made if look.environment else not name.startswith(naming.LEASE_PREFIX):
                continue
            tags = tags_of(ask(sns.list_tags_for_resource, ResourceArn=arn) or {})
            if look.wants(name, tags, made):
                thing = Thing(kind="SNS topic", id=arn, name=name, stack=tags.get(naming.TAG_STACK, ""))
                yield Listed(thing=thing, tags=tags)


AT_HOME = (
    Lister(
        title="schedule groups", covers=("scheduler:schedule-group",), look=schedule_groups, complete=False
    ),
    Lister(title="schedules", covers=(), look=schedules, of_account=True),
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
