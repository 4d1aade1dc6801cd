"""What calls of the smaller services need, each action on the resource that its parameters name.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from collections.abc import Sequence

from moto.efs.models import efs_backends
from moto.fsx.models import fsx_backends
from moto.secretsmanager.models import secretsmanager_backends

from sandbox.iam.needs import Keys, Need, Rule, Service, anything, at, pass_role, rules
from sandbox.iam.requests import ApiRequest
from sandbox.iam.services.kms import use_of_key
from sandbox.store import store


def _function(request: ApiRequest) -> Sequence[str]:
    name = str(request.get("FunctionName") or request.get("Resource") or "*")
    return [request.arn("lambda", f"function:{name.split('function:')[-1]}")]


LAMBDA = Service(
    "lambda",
    {
        **rules(anything, "ListFunctions", "GetAccountSettings", "ListLayers", "ListEventSourceMappings"),
        **rules(_function, "CreateFunction", "UpdateFunctionConfiguration", more=pass_role("Role", "lambda")),
        "Invoke": Rule(_function, ("InvokeFunction",)),
        "ListTags": Rule(_function),
    },
    default=Rule(_function),
)


def _schedule(request: ApiRequest) -> Sequence[str]:
    """Return the schedule; one whose group is not named is in the default group."""
    group = request.get("GroupName") or "default"
    return [request.arn("scheduler", f"schedule/{group}/{request.get('Name') or '*'}")]


SCHEDULER = Service(
    "scheduler",
    {
        **rules(_schedule, "DeleteSchedule", "GetSchedule"),
        **rules(_schedule, "CreateSchedule", "UpdateSchedule", more=pass_role("Target.RoleArn", "scheduler")),
        **rules(
            at("scheduler", "schedule-group/{Name}"),
            "CreateScheduleGroup",
            "DeleteScheduleGroup",
            "GetScheduleGroup",
        ),
        **rules(at("scheduler", "{ResourceArn}"), "ListTagsForResource", "TagResource", "UntagResource"),
    },
)


def _secret(request: ApiRequest) -> Sequence[str]:
    """Return the secret's ARN; one that is to be made has no random end yet."""
    wanted = request.get("SecretId")
    stored = secretsmanager_backends[request.account][request.region].secrets.values()
    for secret in stored:
        if wanted in (secret.name, secret.arn):
            return [secret.arn]
    name = str(wanted or request.get("Name") or "*")
    return [name if name.startswith("arn:") else request.arn("secretsmanager", f"secret:{name}")]


def _secrets_key(request: ApiRequest) -> Sequence[Need]:
    """Return the use of the key that the secret was encrypted with."""
    arn = _secret(request)[0]
    stored = secretsmanager_backends[request.account][request.region].secrets.values()
    key = next((each.kms_key_id for each in stored if each.arn == arn), None)
    if not key:
        return []
    context = {"SecretARN": arn}
    return use_of_key(request, key, ("Decrypt",), via="secretsmanager", encryption_context=context)


SECRETSMANAGER = Service(
    "secretsmanager",
    {
        **rules(anything, "ListSecrets", "GetRandomPassword", "BatchGetSecretValue"),
        **rules(_secret, "GetSecretValue", more=_secrets_key),
    },
    default=Rule(_secret),
)


def _file_system(request: ApiRequest) -> Sequence[str]:
    """Return what an action of FSx is about."""
    found = [
        *request.all("ResourceARN"),
        *(request.arn("fsx", f"file-system/{each}") for each in request.all("FileSystemId")),
        *_below_file_systems(request, "association", "AssociationId"),
        *_below_file_systems(request, "task", "TaskId"),
    ]
    if request.action == "CreateDataRepositoryAssociation":
        found.append(request.arn("fsx", "association/*"))
    if request.action == "CreateDataRepositoryTask":
        found.append(request.arn("fsx", "task/*"))
    return found or [request.arn("fsx", "file-system/*")]


def _below_file_systems(request: ApiRequest, kind: str, parameter: str) -> list[str]:
    """Return the ARNs of associations or tasks by their ids; their file system stands in the ARN."""
    known = store(fsx_backends[request.account][request.region], f"data_repository_{kind}s")
    return [
        known[each]["ResourceARN"] if each in known else request.arn("fsx", f"{kind}/*/{each}")
        for each in request.all(parameter)
    ]


FSX = Service(
    "fsx",
    rules(
        anything, "DescribeFileSystems", "DescribeDataRepositoryAssociations", "DescribeDataRepositoryTasks"
    ),
    default=Rule(_file_system),
)


def _efs(request: ApiRequest) -> Sequence[str]:
    """Return what an action of EFS is about."""
    found = [
        *(request.arn("elasticfilesystem", f"file-system/{each}") for each in request.all("FileSystemId")),
        *(request.arn("elasticfilesystem", f"access-point/{each}") for each in request.all("AccessPointId")),
    ]
    for each in request.all("ResourceId"):
        kind = "access-point" if each.startswith("fsap-") else "file-system"
        found.append(each if each.startswith("arn:") else request.arn("elasticfilesystem", f"{kind}/{each}"))
    targets = efs_backends[request.account][request.region].mount_targets_by_id
    found += [
        request.arn("elasticfilesystem", f"file-system/{targets[each].file_system_id}")
        for each in request.all("MountTargetId")
        if each in targets
    ]
    return found or ["*"]


EFS = Service("elasticfilesystem", {}, default=Rule(_efs))


def _trail(request: ApiRequest) -> Sequence[str]:
    names = request.all("Name") or request.all("TrailName") or request.all("ResourceId")
    names = names or request.all("ResourceIdList") or ["*"]
    return [each if each.startswith("arn:") else request.arn("cloudtrail", f"trail/{each}") for each in names]


CLOUDTRAIL = Service(
    "cloudtrail",
    {
        **rules(anything, "DescribeTrails", "ListTrails", "LookupEvents"),
        **rules(
            _trail,
            "CreateTrail",
            "UpdateTrail",
            more=pass_role("CloudWatchLogsRoleArn", "cloudtrail"),
        ),
    },
    default=Rule(_trail),
)


def _namespace(request: ApiRequest) -> Keys:
    return {"cloudwatch:namespace": request.all("Namespace")} if request.get("Namespace") else {}


_ALARMS = at("cloudwatch", "alarm:{AlarmName}")
CLOUDWATCH = Service(
    "cloudwatch",
    {
        **rules(_ALARMS, "PutMetricAlarm", "PutCompositeAlarm", "SetAlarmState"),
        **rules(
            at("cloudwatch", "alarm:{AlarmNames}"),
            "DeleteAlarms",
            "EnableAlarmActions",
            "DisableAlarmActions",
        ),
        **rules(at("cloudwatch", "dashboard/{DashboardName}", region=""), "GetDashboard", "PutDashboard"),
        **rules(at("cloudwatch", "dashboard/{DashboardNames}", region=""), "DeleteDashboards"),
        **rules(at("cloudwatch", "{ResourceARN}"), "TagResource", "UntagResource", "ListTagsForResource"),
        "PutMetricData": Rule(anything, keys=_namespace),
    },
)


def _rule(request: ApiRequest) -> Sequence[str]:
    """Return the rule of an event bus; the default bus is not in the ARN."""
    bus = str(request.get("EventBusName") or "default").rsplit("/", 1)[-1]
    name = request.get("Rule") or request.get("Name") or "*"
    return [request.arn("events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")]


EVENTS = Service(
    "events",
    {
        **rules(anything, "ListRules", "ListEventBuses", "ListRuleNamesByTarget"),
        **rules(at("events", "{ResourceARN}"), "TagResource", "UntagResource", "ListTagsForResource"),
        **rules(at("events", "event-bus/{Name}"), "CreateEventBus", "DeleteEventBus", "DescribeEventBus"),
        "PutTargets": Rule(_rule, more=pass_role("Targets.RoleArn", "events")),
        "PutRule": Rule(_rule, more=pass_role("RoleArn", "events")),
        "PutEvents": Rule(at("events", "event-bus/default")),
    },
    default=Rule(_rule),
)


def _budget(request: ApiRequest) -> Sequence[str]:
    given = ("BudgetName", "Budget.BudgetName", "NewBudget.BudgetName")
    name = next((found for each in given if (found := request.get(each))), "*")
    return [request.arn("budgets", f"budget/{name}", region="")]


def _budget_action(request: ApiRequest) -> Sequence[str]:
    """Return the action; one that is to be made has no id yet."""
    return [f"{arn}/action/{request.get('ActionId') or '*'}" for arn in _budget(request)]


BUDGETS = Service(
    "budgets",
    {
        f"{verb}{what}": Rule(_budget, ("ViewBudget" if verb == "Describe" else "ModifyBudget",))
        for verb in ("Create", "Delete", "Describe", "Update")
        for what in (
            "Budget",
            "Budgets",
            "Notification",
            "NotificationsForBudget",
            "Subscriber",
            "SubscribersForNotification",
        )
    }
    | {
        "CreateBudgetAction": Rule(_budget_action, more=pass_role("ExecutionRoleArn", "budgets")),
        "UpdateBudgetAction": Rule(_budget_action, more=pass_role("ExecutionRoleArn", "budgets")),
        **rules(_budget_action, "DeleteBudgetAction", "DescribeBudgetAction", "ExecuteBudgetAction"),
        **rules(at("budgets", "{ResourceARN}"), "ListTagsForResource", "TagResource", "UntagResource"),
    },
    default=Rule(_budget),
)
