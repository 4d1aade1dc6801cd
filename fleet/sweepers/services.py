"""Identities, keys, documents, parameters and logs, most of which the tagging API does not know."""

from __future__ import annotations

from collections.abc import Iterator

from fleet import aws
from fleet.sweepers.things import Look, NotLooked, Sweeper, Thing, ask, price, tags_of
from stacks import naming


def roles(look: Look) -> Iterator[Thing]:
    """Yield the IAM roles; tags are read only of those whose name may be this environment's."""
    iam = look.client("iam")
    for each in look.pages("iam", "list_roles", "Roles"):
        name = each["RoleName"]
        if not name.startswith(look.environment) or not (answer := ask(iam.list_role_tags, RoleName=name)):
            continue
        tags = tags_of(answer)
        own = (naming.flow_log_role, naming.lease_role)
        runs = naming.run_role(look.environment, "", look.region)
        made = (*look.machine_identities, runs, *(name_of(look.environment, look.region) for name_of in own))
        if look.owns(name, tags, made):
            stack = tags.get(naming.TAG_STACK, "")
            yield Thing(kind="IAM role", id=name, stack=stack, created=each.get("CreateDate"))


def profiles(look: Look) -> Iterator[Thing]:
    """Yield the IAM instance profiles."""
    iam = look.client("iam")
    for each in look.pages("iam", "list_instance_profiles", "InstanceProfiles"):
        name = each["InstanceProfileName"]
        if not name.startswith(look.environment):
            continue
        answer = ask(iam.get_instance_profile, InstanceProfileName=name)
        tags = tags_of(answer["InstanceProfile"]) if answer else {}
        if answer and look.owns(name, tags, look.machine_identities):
            stack = tags.get(naming.TAG_STACK, "")
            yield Thing(kind="IAM instance profile", id=name, stack=stack, created=each.get("CreateDate"))


def policies(look: Look) -> Iterator[Thing]:
    """Yield the customer managed IAM policies with the environment's tag; our stacks make none."""
    iam = look.client("iam")
    for each in look.pages("iam", "list_policies", "Policies", Scope="Local"):
        name, arn = each["PolicyName"], each["Arn"]
        if not name.startswith(look.environment) or not (answer := ask(iam.list_policy_tags, PolicyArn=arn)):
            continue
        tags = tags_of(answer)
        if look.owns(name, tags):
            yield Thing(kind="IAM policy", id=arn, name=name, stack=tags.get(naming.TAG_STACK, ""))


def keys(look: Look) -> Iterator[Thing | NotLooked]:
    """Yield the KMS keys with the environment's tag, and which keys may not be read."""
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


def _key(look: Look, identity: str) -> Iterator[Thing]:
    """Yield the key if it is the environment's; one that is pending deletion ends by itself."""
    kms = look.client("kms")
    answer = ask(kms.list_resource_tags, KeyId=identity)
    tags = tags_of(answer or {}, "Tags", "TagKey", "TagValue")
    if tags.get(naming.TAG_ENVIRONMENT) != look.environment:
        return
    described = ask(kms.describe_key, KeyId=identity)
    if described is None:
        return
    each = described["KeyMetadata"]
    ending = each["KeyState"] == "PendingDeletion"
    yield Thing(
        kind="KMS key",
        id=each["KeyId"],
        stack=tags.get(naming.TAG_STACK, ""),
        usd_per_hour=0.0 if ending else price("kms_key"),
        created=each.get("CreationDate"),
        note=f"will be gone on {each['DeletionDate']:%Y-%m-%d}" if ending else each["KeyState"].lower(),
        ends_by_itself=ending,
    )


def aliases(look: Look) -> Iterator[Thing]:
    """Yield the alias of the environment's KMS key; aliases have no tags, so it is told by its whole name."""
    for each in look.pages("kms", "list_aliases", "Aliases"):
        if each["AliasName"] == f"alias/{look.environment}":
            yield Thing(kind="KMS alias", id=each["AliasName"], note=each.get("TargetKeyId", ""))


def documents(look: Look) -> Iterator[Thing]:
    """Yield the Systems Manager documents of our own."""
    filters = [{"Key": "Owner", "Values": ["Self"]}]
    named = (naming.run_document, naming.queue_document, naming.node_document)
    made = tuple(each(look.environment) for each in named)
    for each in look.pages("ssm", "list_documents", "DocumentIdentifiers", Filters=filters):
        tags = tags_of(each)
        if look.owns(each["Name"], tags, made):
            stack = tags.get(naming.TAG_STACK, "")
            yield Thing(kind="SSM document", id=each["Name"], stack=stack, created=each.get("CreatedDate"))


def parameters(look: Look) -> Iterator[Thing]:
    """Yield the Systems Manager parameters below the environment's path."""
    ssm = look.client("ssm")
    filters = [
        {"Key": "Name", "Option": "BeginsWith", "Values": [naming.outputs_parameter(look.environment)[:-7]]}
    ]
    for each in look.pages("ssm", "describe_parameters", "Parameters", ParameterFilters=filters):
        answer = ask(ssm.list_tags_for_resource, ResourceType="Parameter", ResourceId=each["Name"])
        if answer is None:
            continue
        stack = tags_of(answer, "TagList").get(naming.TAG_STACK, "")
        yield Thing(kind="SSM parameter", id=each["Name"], stack=stack)


def secrets(look: Look) -> Iterator[Thing]:
    """Yield the secrets of the environment's tag; one that is being deleted ends by itself."""
    for each in look.pages("secretsmanager", "list_secrets", "SecretList", IncludePlannedDeletion=True):
        tags, ending = tags_of(each), each.get("DeletedDate")
        if look.owns(each["Name"], tags, (naming.munge_secret(look.environment),)):
            yield Thing(
                kind="secret",
                id=each["ARN"],
                name=each["Name"],
                stack=tags.get(naming.TAG_STACK, ""),
                usd_per_hour=0.0 if ending else price("secret"),
                created=each.get("CreatedDate"),
                ends_by_itself=bool(ending),
            )


def log_groups(look: Look) -> Iterator[Thing]:
    """Yield the log groups below the environment's path; one elsewhere with its tag is found by that."""
    logs = look.client("logs")
    prefix = naming.log_group(look.environment, "")
    for each in look.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix):
        arn = each["arn"].removesuffix(":*")
        answer = ask(logs.list_tags_for_resource, resourceArn=arn)
        if answer is None:
            continue
        gigabytes = each.get("storedBytes", 0) / 1e9
        yield Thing(
            kind="log group",
            id=each["logGroupName"],
            stack=answer["tags"].get(naming.TAG_STACK, ""),
            usd_per_hour=price("log_storage", gigabytes),
            note=f"{gigabytes:.1f} GB",
        )


SWEEPERS = (
    Sweeper(title="IAM roles", covers=("iam:role",), look=roles),
    Sweeper(title="IAM instance profiles", covers=("iam:instance-profile",), look=profiles),
    Sweeper(title="IAM policies", covers=("iam:policy",), look=policies),
    Sweeper(title="KMS keys", covers=("kms:key",), look=keys),
    Sweeper(title="KMS aliases", covers=("kms:alias",), look=aliases),
    Sweeper(title="SSM documents", covers=("ssm:document",), look=documents),
    Sweeper(title="SSM parameters", covers=("ssm:parameter",), look=parameters),
    Sweeper(title="secrets", covers=("secretsmanager:secret",), look=secrets),
    Sweeper(title="log groups", covers=("logs:log-group",), look=log_groups, complete=False),
)
