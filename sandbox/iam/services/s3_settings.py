"""What reading and changing a bucket's settings needs: IAM's names of these rights are irregular.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html names the right of each action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.iam.needs import Rule
from sandbox.iam.requests import ApiRequest

_CONFIGURATIONS = {
    "Acl": "BucketAcl",
    "AccelerateConfiguration": "AccelerateConfiguration",
    "AnalyticsConfiguration": "AnalyticsConfiguration",
    "Cors": "BucketCORS",
    "Encryption": "EncryptionConfiguration",
    "IntelligentTieringConfiguration": "IntelligentTieringConfiguration",
    "InventoryConfiguration": "InventoryConfiguration",
    "Lifecycle": "LifecycleConfiguration",
    "LifecycleConfiguration": "LifecycleConfiguration",
    "Logging": "BucketLogging",
    "MetricsConfiguration": "MetricsConfiguration",
    "Notification": "BucketNotification",
    "NotificationConfiguration": "BucketNotification",
    "Replication": "ReplicationConfiguration",
    "RequestPayment": "BucketRequestPayment",
    "Tagging": "BucketTagging",
    "Versioning": "BucketVersioning",
    "Website": "BucketWebsite",
}
"""Bucket settings by the API's name, with IAM's; all but the website are deleted by the right to put them."""


_WITHOUT_BUCKET = {
    "BucketOwnershipControls": "BucketOwnershipControls",
    "PublicAccessBlock": "BucketPublicAccessBlock",
    "ObjectLockConfiguration": "BucketObjectLockConfiguration",
}
"""The same for actions whose name is only this behind the verb."""
_RIGHTS = {"Get": "Get", "Put": "Put", "Delete": "Put"}


def bucket(request: ApiRequest) -> Sequence[str]:
    """Return the ARN of the call's bucket."""
    return [f"arn:{request.partition}:s3:::{request.get('Bucket')}"]


def _rules() -> Mapping[str, Rule]:
    found = {}
    for api, iam in _CONFIGURATIONS.items():
        for verb, right in _RIGHTS.items():
            found[f"{verb}Bucket{api}"] = Rule(bucket, (right + iam,))
        found[f"ListBucket{api}s"] = Rule(bucket, (f"Get{iam}",))
    for api, iam in _WITHOUT_BUCKET.items():
        for verb, right in _RIGHTS.items():
            found[f"{verb}{api}"] = Rule(bucket, (right + iam,))
    return {**found, "DeleteBucketWebsite": Rule(bucket, ("DeleteBucketWebsite",))}


SETTINGS = _rules()
"""By the API's action."""
