"""Ways in by Systems Manager's sessions and by EC2 Instance Connect."""

from __future__ import annotations

from stacks.entry import policies
from stacks.entry.facts import Facts, Thing, covers, listed, statements
from stacks.entry.machine_paths import session_inputs
from stacks.entry.network_paths import SSH, port
from stacks.entry.verdict import Verdict, closed, in_trail, locked_buckets, opened

_LOGGED = (
    "s3BucketName",
    "s3EncryptionEnabled",
    "cloudWatchLogGroupName",
    "cloudWatchEncryptionEnabled",
    "cloudWatchStreamingEnabled",
    "kmsKeyId",
    "runAsEnabled",
    "runAsDefaultUser",
)
"""Inputs without which a session leaves no transcript, or one that is not safe."""


def shell(facts: Facts, template: Thing) -> Verdict:
    """Return where a shell by our own Session document is written down."""
    documents = [
        each for each in facts.everything("aws_ssm_document") if each.body.get("document_type") == "Session"
    ]
    if not documents:
        return opened("there is no Session document, so sessions would take AWS's own")
    for document in documents:
        if lacks := _lacks(facts, document):
            return opened(
                f"a session by it leaves no safe transcript: {', '.join(lacks)}", document.at("content")
            )
    if not facts.same_region:
        return in_trail(
            facts,
            "StartSession",
            documents[0].at(""),
            *policies.denies(facts, policies.START),
            note="our document stands in the account's region alone, so our roles enter no machine here",
        )
    if not _may_write(facts, template):
        return opened("the machine's role may not write the transcript", template.at("iam_instance_profile"))
    inputs = session_inputs(documents[0])
    group = facts.target(inputs["cloudWatchLogGroupName"])
    named = {each.address: each.body["name"] for each in facts.everything("aws_cloudwatch_log_group")}
    return Verdict(
        state="recorded",
        by=(documents[0].at(""),),
        records=(
            f"s3://{inputs['s3BucketName']}/{inputs['s3KeyPrefix']}/",
            f"log group {named.get(group, inputs['cloudWatchLogGroupName'])}",
        ),
    )


def _lacks(facts: Facts, document: Thing) -> list[str]:
    inputs = session_inputs(document)
    lacks = [name for name in _LOGGED if not inputs.get(name)]
    if inputs.get("s3BucketName") not in locked_buckets(facts).values():
        lacks.append("a locked bucket")
    return lacks


def _may_write(facts: Facts, template: Thing) -> bool:
    """Return whether the role of the machine's profile may put transcripts into the locked bucket."""
    profiles = {facts.target(each.get("name")) for each in listed(template.body.get("iam_instance_profile"))}
    roles = {
        facts.target(each.body.get("role"))
        for each in facts.things("aws_iam_instance_profile")
        if each.address in profiles
    }
    buckets = locked_buckets(facts).values()
    return any(
        grant.role in {f"base: {role}" for role in roles}
        and any(f":::{bucket}/" in str(grant.statement.get("Resource")) for bucket in buckets)
        for grant in policies.grants(facts, "s3:PutObject")
    )


def default_document(facts: Facts) -> Verdict:
    """Return whether a role of ours could enter by the account's default document, whatever that records."""
    if strange := policies.strange_attachments(facts):
        return opened("a role has a policy of which it is not known whom it lets in", *strange)
    unchecked = [
        grant.policy.at("policy")
        for grant in policies.grants(facts, policies.START)
        if not policies.checks_document(grant.statement)
    ]
    if unchecked:
        return opened("StartSession is allowed without ssm:SessionDocumentAccessCheck", *unchecked)
    return in_trail(
        facts,
        "StartSession without a document",
        *policies.denies(facts, policies.START),
        note="refused to every role of the stacks",
    )


def tunnels(facts: Facts) -> Verdict:
    """Return whether a role of ours could open a tunnel, or run a command, by one of AWS's documents."""
    denied = policies.denies(facts, policies.START)
    policy = policies.deny_list(facts)
    others = policy is not None and any(
        each["Effect"] == "Deny" and covers(each, policies.START) and "NotResource" in each
        for each in statements(policy.body.get("policy"))
    )
    if not denied or not others:
        return opened("no policy denies the documents that open tunnels")
    entering = {grant.role for grant in policies.grants(facts, policies.START)}
    free = sorted(role for role in entering if not policies.carries_deny_list(facts, role))
    if free:
        return opened("a role may start sessions and does not carry the deny list", *free)
    return in_trail(
        facts,
        "StartSession with its document; what went through a tunnel is nowhere recorded",
        *denied,
        note="refused to every role of the stacks, and told by the alarm entered-otherwise",
    )


def instance_connect(facts: Facts, template: Thing) -> Verdict:
    """Return whether a key sent by Instance Connect would open the machine: it needs the SSH port."""
    ssh = port(facts, template, SSH)
    if ssh.state != "closed":
        return ssh
    if not policies.denies(facts, "ec2-instance-connect:SendSSHPublicKey"):
        return opened("no policy denies sending keys")
    return closed(*ssh.by, *policies.denies(facts, "ec2-instance-connect:SendSSHPublicKey"))


def connect_endpoint(facts: Facts, template: Thing) -> Verdict:
    """Return whether an Instance Connect Endpoint leads to the machine."""
    found = [each.at("") for each in facts.everything("aws_ec2_instance_connect_endpoint")]
    if found:
        return opened("an Instance Connect Endpoint leads to machines", *found)
    denied = policies.denies(facts, "ec2-instance-connect:OpenTunnel")
    if not denied:
        return opened("no policy denies opening tunnels")
    # One that somebody adds by hand reaches nothing: the machine's groups admit no group but their own.
    ssh = port(facts, template, SSH)
    return closed(*ssh.by, *denied) if ssh.state == "closed" else ssh
