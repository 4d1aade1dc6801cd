"""What calls of SQS and SNS need; who publishes to an encrypted topic also uses its key.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html, list_amazonsns.html
and https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
"""

from __future__ import annotations

from collections.abc import Sequence

from moto.sns.models import sns_backends

from sandbox.iam.needs import Need, Rule, Service, anything, rules
from sandbox.iam.requests import ApiRequest
from sandbox.iam.services.kms import use_of_key


def _queue(request: ApiRequest) -> Sequence[str]:
    names = [url.rstrip("/").rsplit("/", 1)[-1] for url in request.all("QueueUrl")] or request.all(
        "QueueName"
    )
    return [request.arn("sqs", name) for name in names] or ["*"]


SQS = Service("sqs", rules(anything, "ListQueues"), default=Rule(_queue))


def _topic(request: ApiRequest) -> Sequence[str]:
    arns = [*request.all("TopicArn"), *request.all("TargetArn"), *request.all("ResourceArn")]
    arns += [arn.rsplit(":", 1)[0] for arn in request.all("SubscriptionArn")]
    return arns or [request.arn("sns", name) for name in request.all("Name")] or ["*"]


def _topics_key(request: ApiRequest) -> Sequence[Need]:
    """Return the use of the key of an encrypted topic, which who publishes to it needs."""
    topic = sns_backends[request.account][request.region].topics.get(str(request.get("TopicArn")))
    if topic is None or not topic.kms_master_key_id:
        return []
    context = {"aws:sns:topicArn": topic.arn}
    actions = ("GenerateDataKey", "Decrypt")
    return use_of_key(request, topic.kms_master_key_id, actions, via="sns", encryption_context=context)


SNS = Service(
    "sns",
    {
        **rules(anything, "ListTopics", "ListSubscriptions"),
        **rules(_topic, "Publish", "PublishBatch", more=_topics_key),
    },
    default=Rule(_topic),
)
