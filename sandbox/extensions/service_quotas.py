"""The quotas that bound how many machines, VPCs and addresses there may be, and how to set them.

Seam: methods on `ServiceQuotasBackend` and `ServiceQuotasResponse`. moto has the defaults of VPC alone and no
account has values of its own; drop this when it has EC2's and RequestServiceQuotaIncrease. Like an account
that was used for years, this one may have much. Unlike the cloud: an increase is granted at once, and to a
lower value too, so that a small account can be played; and nothing is refused for lack of quota.
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
GENEROUS = 100_000.0
QUOTAS = {
    "L-1216C47A": ("ec2", ON_DEMAND.format(STANDARD)),
    "L-DB2E81BA": ("ec2", ON_DEMAND.format("G and VT")),
    "L-417A185B": ("ec2", ON_DEMAND.format("P")),
    "L-2C3B7624": ("ec2", ON_DEMAND.format("Trn")),
    "L-6E869C2A": ("ec2", ON_DEMAND.format("DL")),
    "L-34B43A08": ("ec2", SPOT.format(STANDARD)),
    "L-3819A6DF": ("ec2", SPOT.format("G and VT")),
    "L-7212CCBC": ("ec2", SPOT.format("P")),
    "L-6B0D517C": ("ec2", SPOT.format("Trn")),
    "L-85EED4F7": ("ec2", SPOT.format("DL")),
    "L-0263D0A3": ("ec2", "EC2-VPC Elastic IPs"),
    "L-F678F1CE": ("vpc", "VPCs per Region"),
}
"""Code -> service and name, as `aws service-quotas list-service-quotas --service-code ec2` has them."""
_SERVICES = {
    "ec2": "Amazon Elastic Compute Cloud (Amazon EC2)",
    "vpc": "Amazon Virtual Private Cloud (Amazon VPC)",
}


def install(parts: Parts) -> None:
    """Put our quotas before moto's own."""
    get, defaults = (
        ServiceQuotasBackend.get_service_quota,
        ServiceQuotasBackend.list_aws_default_service_quotas,
    )

    @functools.wraps(get)
    def get_service_quota(self: Any, service_code: str, quota_code: str) -> Any:
        if QUOTAS.get(quota_code, ("", ""))[0] != service_code:
            return get(self, service_code, quota_code)
        return _quota(self, quota_code)

    @functools.wraps(defaults)
    def list_aws_default_service_quotas(self: Any, service_code: str) -> Any:
        ours = [{**_quota(self, code), "Value": GENEROUS} for code in _codes(service_code)]
        theirs = [] if service_code == "ec2" else defaults(self, service_code)
        return [*ours, *(each for each in theirs if each["QuotaCode"] not in QUOTAS)]

    ServiceQuotasBackend.get_service_quota = get_service_quota
    ServiceQuotasBackend.list_aws_default_service_quotas = list_aws_default_service_quotas
    ServiceQuotasResponse.list_service_quotas = list_service_quotas
    ServiceQuotasResponse.get_aws_default_service_quota = get_aws_default_service_quota
    ServiceQuotasResponse.request_service_quota_increase = request_service_quota_increase


def list_service_quotas(request: Any) -> str:
    """ListServiceQuotas, of EC2 and VPC."""
    service = str(json.loads(request.body).get("ServiceCode"))
    listed = request.backend.list_aws_default_service_quotas(service)
    quotas = [request.backend.get_service_quota(service, each["QuotaCode"]) for each in listed]
    return json.dumps({"Quotas": quotas})


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


def _codes(service: str) -> list[str]:
    return [code for code, (owner, _) in QUOTAS.items() if owner == service]


def _quota(backend: Any, code: str) -> dict[str, Any]:
    """Return one of our quotas with the value that it has now."""
    account, region = backend.account_id, backend.region_name
    service, name = QUOTAS[code]
    return {
        "ServiceCode": service,
        "ServiceName": _SERVICES[service],
        "QuotaArn": f"arn:{backend.partition}:servicequotas:{region}:{account}:{service}/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": store(backend, "quotas").get(code, GENEROUS),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
