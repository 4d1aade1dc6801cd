"""The quotas of EC2 that bound how many machines may run, and RequestServiceQuotaIncrease to set them.

Seam: methods on `ServiceQuotasBackend` and `ServiceQuotasResponse`. moto has the quotas of VPC alone, which
it still answers; drop this when it has EC2's. Like an account that was used for years, this one may run much.
Unlike the cloud: an increase is granted at once, and to a lower value too, so that a small account can be
played; and nothing is refused for lack of quota.
"""

from __future__ import annotations

import functools
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse

from sandbox.parts import Parts, store

ON_DEMAND, SPOT = "Running On-Demand {} instances", "All {} Spot Instance Requests"
STANDARD = "Standard (A, C, D, H, I, M, R, T, Z)"
DEFAULT_VCPUS = 100_000.0
QUOTAS = {
    "L-1216C47A": ON_DEMAND.format(STANDARD),
    "L-DB2E81BA": ON_DEMAND.format("G and VT"),
    "L-417A185B": ON_DEMAND.format("P"),
    "L-2C3B7624": ON_DEMAND.format("Trn"),
    "L-6E869C2A": ON_DEMAND.format("DL"),
    "L-34B43A08": SPOT.format(STANDARD),
    "L-3819A6DF": SPOT.format("G and VT"),
    "L-7212CCBC": SPOT.format("P"),
    "L-6B0D517C": SPOT.format("Trn"),
    "L-85EED4F7": SPOT.format("DL"),
}
"""Code -> name, as `aws service-quotas list-service-quotas --service-code ec2` gives them."""


def install(parts: Parts) -> None:
    """Put EC2's quotas beside those of VPC."""
    get, defaults = (
        ServiceQuotasBackend.get_service_quota,
        ServiceQuotasBackend.list_aws_default_service_quotas,
    )

    @functools.wraps(get)
    def get_service_quota(self: Any, service_code: str, quota_code: str) -> Any:
        if service_code != "ec2":
            return get(self, service_code, quota_code)
        return _quota(self, quota_code)

    @functools.wraps(defaults)
    def list_aws_default_service_quotas(self: Any, service_code: str) -> Any:
        if service_code != "ec2":
            return defaults(self, service_code)
        return [{**_quota(self, code), "Value": DEFAULT_VCPUS} for code in QUOTAS]

    ServiceQuotasBackend.get_service_quota = get_service_quota
    ServiceQuotasBackend.list_aws_default_service_quotas = list_aws_default_service_quotas
    ServiceQuotasResponse.list_service_quotas = list_service_quotas
    ServiceQuotasResponse.get_aws_default_service_quota = get_aws_default_service_quota
    ServiceQuotasResponse.request_service_quota_increase = request_service_quota_increase


def list_service_quotas(request: Any) -> str:
    """ListServiceQuotas, of EC2 and VPC."""
    service = str(json.loads(request.body).get("ServiceCode"))
    if service != "ec2":
        return json.dumps({"Quotas": request.backend.list_aws_default_service_quotas(service)})
    return json.dumps({"Quotas": [_quota(request.backend, code) for code in QUOTAS]})


def get_aws_default_service_quota(request: Any) -> str:
    """GetAWSDefaultServiceQuota."""
    asked = json.loads(request.body)
    for quota in request.backend.list_aws_default_service_quotas(str(asked.get("ServiceCode"))):
        if quota["QuotaCode"] == asked.get("QuotaCode"):
            return json.dumps({"Quota": quota})
    raise NoSuchResource


def request_service_quota_increase(request: Any) -> str:
    """RequestServiceQuotaIncrease: the value is the account's own from now on."""
    asked = json.loads(request.body)
    code, value = str(asked.get("QuotaCode")), float(asked["DesiredValue"])
    quota = request.backend.get_service_quota(str(asked.get("ServiceCode")), code)
    store(request.backend, "quotas")[code] = value
    shown = {name: quota[name] for name in ("ServiceCode", "ServiceName", "QuotaCode", "QuotaName", "Unit")}
    answer = {
        **shown,
        "Id": uuid.uuid4().hex,
        "DesiredValue": value,
        "Status": "APPROVED",
        "Created": datetime.now(UTC).timestamp(),
    }
    return json.dumps({"RequestedQuota": answer})


def _quota(backend: Any, code: str) -> dict[str, Any]:
    """Return a quota of EC2 with the value that it has now."""
    if code not in QUOTAS:
        raise NoSuchResource
    account, region = backend.account_id, backend.region_name
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:{backend.partition}:servicequotas:{region}:{account}:ec2/{code}",
        "QuotaCode": code,
        "QuotaName": QUOTAS[code],
        "Value": store(backend, "quotas").get(code, DEFAULT_VCPUS),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
