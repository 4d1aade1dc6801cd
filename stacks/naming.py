"""Names and tags of everything in the cloud: one function a name, so that no other module spells one out."""

from __future__ import annotations

ACCOUNT_STACK = "account"
"""The stack that exists once per account and that no environment's teardown reaches."""

TAG_TEAM = "fleetform:team"
TAG_ENVIRONMENT = "fleetform:environment"
TAG_OWNER = "fleetform:owner"
TAG_STACK = "fleetform:stack"
TAG_LEASE_ENDS = "fleetform:lease-ends"
TAG_ROLE = "fleetform:role"
"""On instances: `head` or `node`."""
TAG_FLEET = "fleetform:fleet"
"""On instances of a GPU fleet: the fleet's name."""
TAG_NODE = "fleetform:node"
"""On instances of a fleet under Slurm: the name that Slurm knows the node by, `gpu-3`."""
TAG_LAUNCH = "fleetform:launch"
"""On instances that the head node itself started, beyond the fleet's group: the attempt that started them."""
TAG_MAX_NODES = "fleetform:max-nodes"
"""On a fleet's group under Slurm: how many nodes the fleet may grow to, those outside of the group too."""
TAG_RUN = "fleetform:run"
"""On a file system that was made for one run: the run's id."""
TAG_IDLE = "fleetform:idle"
"""On a fleet's group and on what it starts: the policy on nodes without a run, `MINUTES+GRACE`."""
TAG_WORK, TAG_IDLE_RUN = "fleetform:work", "fleetform:idle-run"
"""On a node, by its head: whether it has a run; that the run on it is idle (node/idle_marks.py)."""
TAG_IDLE_TOLD, TAG_IDLE_WARNED = "fleetform:idle-told", "fleetform:idle-warned"
"""On a node, by the reaper: what of the two is on record."""
TAG_NOT_OURS = "fleetform:not-ours"
"""Given by a person to what looks like fleetform's and is not, with whose it is; no sweep touches it then."""

ROLE_HEAD, ROLE_NODE = "head", "node"
ROLE_RUN = "run"
"""What the programs of a run are, under Slurm."""
ROLE_MEMBER, ROLE_OPERATOR = "member", "operator"
"""What people are in an environment."""
ROLE_AUDITOR, ROLE_DEPLOYER = "auditor", "deployer"
"""What people are in the account."""

SECURITY_GROUP_NODES = "nodes"
"""Of the head node and the nodes."""
SECURITY_GROUP_ENDPOINTS = "endpoints"
"""Of the interface endpoints."""
SECURITY_GROUP_STORAGE = "storage"
"""Of the file systems."""

EBS_KEY = "alias/aws/ebs"
"""The key that EC2 itself makes and manages for an account's disks."""
SHARED_MOUNT = "/shared"
"""Where every machine has the shared file system (EFS)."""
FAST_MOUNT = "/fsx"
"""Where every machine has the fast file system (FSx for Lustre)."""
FLOW_LOGS = "flow-logs"
"""Of the log group of flow logs."""

TRAIL = "trail"
SESSION_DOCUMENT = "session"
"""The one Session Manager document that people enter machines by."""
DENY_ENTRY_POLICY = "deny-entry"
"""What nobody may do: enter a machine off the record, or touch the record."""
BOUNDARY = "boundary"
"""What the roles of environments can be given at most."""
ACCOUNT_BOUNDARY = "boundary-account"
"""What the account's roles of people can be given at most."""
ALERTS_TOPIC, AUDIT_KEY, LEASE = "alerts", "audit", "lease"
REAPER = "reaper"
"""The function that ends what has outlived its lease."""
LEASE_PREFIX, BUDGET_PREFIX = "fleetform-lease-", "fleetform-budget-"
"""Of every environment's schedule and topic, by which the reaper finds them; of its budget."""

OVER_BUDGET, BUDGET = "over-budget", "budget"
"""The account's policy that AWS Budgets attaches to an environment's roles; the role that does so."""
LEDGER_KEY = "ledger"
"""The key that signs the checkpoints of the ledger."""
LEDGER_PREFIX, CHECKPOINTS_PREFIX = "ledger/", "checkpoints/"
TRAIL_PREFIX, SESSIONS_PREFIX = "trail/", "sessions/"
"""Folders of the audit bucket, which is the ledger's: ledger and its checkpoints, trail, transcripts."""


def ledger_key_alias(organization: str) -> str:
    """Return the name of the key that signs the ledger's checkpoints, `alias/acme-ai-fleetform-ledger`."""
    return f"alias/{account_name(organization, LEDGER_KEY)}"


def base_stack(environment: str) -> str:
    """Return the name of the stack that is kept between runs."""
    return f"{environment}-base"


def fleet_stack(environment: str) -> str:
    """Return the name of the stack that is made for a run and torn down after it."""
    return f"{environment}-fleet"


def environment_stacks(environment: str) -> tuple[str, str]:
    """Return an environment's own stacks in the order of creation; destroy them in reverse."""
    return (base_stack(environment), fleet_stack(environment))


def state_bucket(organization: str, region: str) -> str:
    """Return the bucket that holds every stack's Terraform state."""
    return f"{organization}-fleetform-state-{region}"


def state_key(stack: str) -> str:
    """Return the state object's key in the state bucket; its lock is this key with `.tflock` appended."""
    return f"{stack}/terraform.tfstate"


def ledger_bucket(organization: str, region: str) -> str:
    """Return the write-once bucket that holds the ledger."""
    return f"{organization}-fleetform-ledger-{region}"


def access_log_bucket(organization: str, region: str) -> str:
    """Return the bucket that records each access to the other buckets of the account's region."""
    return f"{organization}-fleetform-logs-{region}"


def account_name(organization: str, name: str) -> str:
    """Return the name of a thing of the account stack in the cloud: `acme-ai-fleetform-session`.

    Named after the organization as its buckets are. The names are TRAIL, SESSION_DOCUMENT, DENY_ENTRY_POLICY,
    ALERTS_TOPIC and AUDIT_KEY.
    """
    return f"{organization}-fleetform-{name}"


def account_policy_arn(organization: str, name: str, partition: str, account_id: str) -> str:
    """Return the ARN of a policy of the account stack; `partition` and `account_id` may be references."""
    return f"arn:{partition}:iam::{account_id}:policy/{account_name(organization, name)}"


def account_log_group(organization: str, name: str) -> str:
    """Return the name of a log group of the account stack: `trail`, `sessions`."""
    return f"/fleetform/{ACCOUNT_STACK}/{organization}/{name}"


def artifact_bucket(organization: str, environment: str, region: str) -> str:
    """Return the bucket that holds an environment's runs and node bundles."""
    return f"{organization}-{environment}-artifacts-{region}"


def dataset_bucket(organization: str, environment: str, region: str) -> str:
    """Return the bucket that holds an environment's datasets; shorter than the artifact bucket's name."""
    return f"{organization}-{environment}-datasets-{region}"


def shared_files(environment: str) -> str:
    """Return the name and creation token of an environment's shared file system (EFS)."""
    return f"{environment}-shared"


def outputs_parameter(environment: str) -> str:
    """Return the Systems Manager parameter under which the fleet stack publishes EnvironmentOutputs."""
    return f"/fleetform/{environment}/outputs"


def run_document(environment: str, team: str = "") -> str:
    """Return the Systems Manager document that starts a run on the head node.

    Each team beside the environment's own has a document of its own, with its name baked in.
    """
    return f"{environment}-run-job-{team}" if team else f"{environment}-run-job"


def queue_document(environment: str, team: str = "") -> str:
    """Return the Systems Manager document that cancels, holds, releases or requeues a team's run."""
    return f"{environment}-queue-{team}" if team else f"{environment}-queue"


def node_document(environment: str) -> str:
    """Return the Systems Manager document that starts one node's part of a run."""
    return f"{environment}-run-node"


def head_group(environment: str) -> str:
    """Return the Auto Scaling group that keeps the head node alive."""
    return f"{environment}-head"


def fleet_group(environment: str, fleet: str) -> str:
    """Return the Auto Scaling group of a GPU fleet."""
    return f"{environment}-{fleet}"


def security_group(environment: str, name: str) -> str:
    """Return the name of one of an environment's security groups."""
    return f"{environment}-{name}"


def log_group(environment: str, name: str) -> str:
    """Return the name of one of an environment's log groups, `/fleetform/vision/flow-logs`."""
    return f"/fleetform/{environment}/{name}"


def environment_role(environment: str, role: str, region: str) -> str:
    """Return the IAM role of machines or people of an environment: `vision-head-eu-central-1`.

    IAM is global, so the region keeps environments of one name in two regions apart.
    """
    return f"{environment}-{role}-{region}"


def flow_log_role(environment: str, region: str) -> str:
    """Return the IAM role that delivers an environment's flow logs."""
    return f"{environment}-{FLOW_LOGS}-{region}"


def lease_name(environment: str, region: str) -> str:
    """Return the name of an environment's schedule, its group, and its topic, all in the account's region."""
    return f"{LEASE_PREFIX}{environment}-{region}"


def budget_name(environment: str, region: str) -> str:
    """Return the name of an environment's budget in AWS Budgets."""
    return f"{BUDGET_PREFIX}{environment}-{region}"


def lease_role(environment: str, region: str) -> str:
    """Return the IAM role with which an environment's schedule calls the reaper."""
    return f"{environment}-{LEASE}-{region}"


def munge_secret(environment: str) -> str:
    """Return the secret (Secrets Manager) with the key by which a cluster's machines know each other."""
    return f"fleetform/{environment}/munge"


def state_volume(environment: str) -> str:
    """Return the name of the disk that keeps the queue when the head node is replaced."""
    return f"{environment}-queue-state"


def team_role(environment: str, team: str, region: str) -> str:
    """Return the IAM role of the members of a team that shares an environment."""
    return environment_role(environment, f"{ROLE_MEMBER}-{team}", region)


def run_role(environment: str, team: str, region: str) -> str:
    """Return the IAM role of a team's runs under Slurm; `team` is "" for the environment's own."""
    return environment_role(environment, f"{ROLE_RUN}-{team}" if team else ROLE_RUN, region)


def command_documents() -> tuple[str, ...]:
    """Return patterns of the names of every document that commands machines, of any environment and team."""
    named = (run_document, queue_document)
    return (*(each("*", team) for each in named for team in ("", "*")), node_document("*"))
