"""A stack that can't be planned for real yet stands alone: no remote state, no imports, unknown outputs."""

from __future__ import annotations

import json

from fleet.plan import stand_alone

CONFIGURATION = {
    "terraform": {"backend": {"s3": {"bucket": "state"}}, "required_providers": {"aws": {}}},
    "import": [{"to": "aws_s3_bucket.state", "id": "state"}],
    "data": {
        "terraform_remote_state": {"base": {"backend": "s3"}},
        "aws_ssm_parameter": {"image": {"name": "/image"}},
    },
    "resource": {
        "aws_autoscaling_group": {
            "head": {
                "vpc_zone_identifier": ["${data.terraform_remote_state.base.outputs.subnet_id_0}"],
                "name": "x-${data.terraform_remote_state.base.outputs.vpc_id}-y",
            }
        }
    },
}


def test_references_to_another_state_become_stand_ins_that_nobody_knows_before_an_apply() -> None:
    alone = stand_alone(CONFIGURATION)
    group = alone["resource"]["aws_autoscaling_group"]["head"]
    assert group["vpc_zone_identifier"] == ["${terraform_data.base.output.subnet_id_0}"]
    assert group["name"] == "x-${terraform_data.base.output.vpc_id}-y"
    assert set(alone["resource"]["terraform_data"]["base"]["input"]) == {"subnet_id_0", "vpc_id"}


def test_no_real_state_is_touched_and_nothing_is_imported() -> None:
    alone = stand_alone(CONFIGURATION)
    assert alone["terraform"]["backend"] == {"local": {}}
    assert "import" not in alone and "terraform_remote_state" not in json.dumps(alone)
    assert alone["data"] == {"aws_ssm_parameter": {"image": {"name": "/image"}}}


def test_the_synthesized_configuration_itself_is_left_as_it_is() -> None:
    before = json.dumps(CONFIGURATION)
    stand_alone(CONFIGURATION)
    assert json.dumps(CONFIGURATION) == before
