"""What calls of CloudWatch Logs need: each action on the log group that it names, or on a stream in it.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.iam.needs import Rule, Service, anything, at, rules
from sandbox.iam.requests import ApiRequest


def _log_group(request: ApiRequest) -> Sequence[str]:
    """Return the log group, or the stream in it; a policy names it with `:*` behind the group."""
    given = (
        request.get("logGroupIdentifier") or request.get("logGroupName") or request.get("logGroupNamePrefix")
    )
    name = str(given or "").split(":log-group:")[-1].removesuffix(":*")
    stream = request.get("logStreamName") or ""
    return [request.arn("logs", f"log-group:{name}:log-stream:{stream}")]


LOGS = Service(
    "logs",
    {
        **rules(at("logs", "log-group:{logGroupName}"), "CreateLogGroup"),
        **rules(at("logs", "log-group::log-stream:"), "DescribeLogGroups"),
        **rules(at("logs", "{resourceArn}"), "TagResource", "UntagResource", "ListTagsForResource"),
        **rules(at("logs", "log-group:{logGroupName}"), "TagLogGroup", "UntagLogGroup", "ListTagsLogGroup"),
        **rules(
            anything, "DescribeResourcePolicies", "PutResourcePolicy", "DescribeQueries", "GetQueryResults"
        ),
        **rules(at("logs", "destination:{destinationName}"), "PutDestination", "DeleteDestination"),
    },
    default=Rule(_log_group),
)
