"""What every resource type is to a person: its room in the environment, its name, and whether it holds data.

How bad it is when somebody changes one behind Terraform's back is `fleet/drift_ranks.py`. A test holds both
tables against `stacks/aws/types.toml`, so that no type of the stacks is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stacks import naming

NETWORK: Final = "network"
STORAGE: Final = "storage"
MACHINES: Final = "machines"
PEOPLE: Final = "people and roles"
COMMANDS: Final = "commands and entry"
LEASE: Final = "lease"
AUDIT: Final = "audit"
OTHER: Final = "other"
ROOMS: Final = (NETWORK, STORAGE, MACHINES, PEOPLE, COMMANDS, LEASE, AUDIT, OTHER)
"""The rooms of an environment, in the order in which they are shown."""


@dataclass(frozen=True)
class Kind:
    """One resource type in plain words."""

    room: str
    noun: str
    """What one of it is called: "bucket"."""
    data: bool = False
    """Whether something is lost for good with it: files, objects, or the key that reads them."""


def _rows(room: str, text: str) -> dict[str, Kind]:
    """Read rows of `type  noun`; a type with a `*` holds data."""
    rows = (line.split(maxsplit=1) for line in text.strip().splitlines())
    return {f"aws_{name.rstrip('*')}": Kind(room, noun.strip(), name.endswith("*")) for name, noun in rows}


KINDS: Final[dict[str, Kind]] = {
    **_rows(
        NETWORK,
        """
        vpc                                       network
        vpc_ipv4_cidr_block_association           block of the network
        vpc_dhcp_options                          DHCP options
        vpc_dhcp_options_association              use of DHCP options
        subnet                                    subnet
        route                                     route
        route_table                               route table
        route_table_association                   use of a route table
        internet_gateway                          internet gateway
        nat_gateway                               NAT gateway
        eip                                       public address
        network_acl                               network access list
        network_acl_rule                          rule of a network access list
        default_network_acl                       default network access list
        default_route_table                       default route table
        default_security_group                    default security group
        security_group                            security group
        security_group_rule                       security group rule
        vpc_security_group_ingress_rule           rule that lets in
        vpc_security_group_egress_rule            rule that lets out
        vpc_endpoint                              endpoint
        vpc_endpoint_policy                       policy of an endpoint
        vpc_endpoint_route_table_association      route to an endpoint
        vpc_endpoint_subnet_association           endpoint's place in a subnet
        vpc_endpoint_security_group_association   endpoint's security group
        ec2_managed_prefix_list                   list of address blocks
        network_interface                         network interface
        flow_log                                  flow log
        """,
    ),
    **_rows(
        STORAGE,
        """
        s3_bucket*                                        bucket
        s3_bucket_acl                                     access list of a bucket
        s3_bucket_cors_configuration                      cross-origin rules of a bucket
        s3_bucket_lifecycle_configuration                 lifecycle of a bucket
        s3_bucket_logging                                 access log of a bucket
        s3_bucket_notification                            notifications of a bucket
        s3_bucket_object_lock_configuration               object lock of a bucket
        s3_bucket_ownership_controls                      object ownership of a bucket
        s3_bucket_policy                                  policy of a bucket
        s3_bucket_public_access_block                     public access block of a bucket
        s3_bucket_server_side_encryption_configuration    encryption of a bucket
        s3_bucket_versioning                              versioning of a bucket
        s3_bucket_request_payment_configuration           request payment of a bucket
        s3_account_public_access_block                    public access block of the account
        s3_object                                         object
        kms_key*                                          encryption key
        kms_alias                                         name of an encryption key
        kms_grant                                         grant on an encryption key
        kms_key_policy                                    policy of an encryption key
        efs_file_system*                                  shared file system (EFS)
        efs_access_point                                  access point of a shared file system
        efs_backup_policy                                 backup of a shared file system
        efs_file_system_policy                            policy of a shared file system
        efs_mount_target                                  mount target of a shared file system
        fsx_lustre_file_system*                           fast file system (FSx for Lustre)
        fsx_data_repository_association                   link from a fast file system to a bucket
        ebs_volume*                                       disk
        ebs_snapshot*                                     snapshot of a disk
        ebs_encryption_by_default                         default encryption of disks
        ebs_snapshot_block_public_access                  public access block of snapshots
        backup_vault*                                     backup vault
        backup_plan                                       backup plan
        backup_selection                                  choice of what is backed up
        dynamodb_table*                                   table
        secretsmanager_secret*                            secret
        secretsmanager_secret_version                     value of a secret
        secretsmanager_secret_policy                      policy of a secret
        """,
    ),
    **_rows(
        MACHINES,
        """
        ami*                              machine image
        autoscaling_group                 group of machines
        autoscaling_group_tag             tag of a group of machines
        autoscaling_lifecycle_hook        hook of a group of machines
        autoscaling_notification          notification of a group of machines
        autoscaling_policy                scaling policy
        autoscaling_schedule              scaling schedule
        ec2_capacity_block_reservation    capacity block
        ec2_capacity_reservation          capacity reservation
        ec2_instance_metadata_defaults    metadata defaults of machines
        instance                          machine
        key_pair                          key pair
        launch_template                   launch template
        placement_group                   placement group
        resourcegroups_group              group of resources
        resourcegroups_resource           member of a group of resources
        """,
    ),
    **_rows(
        PEOPLE,
        """
        iam_account_password_policy     password rules of the account
        iam_group                       group of users
        iam_group_membership            members of a group of users
        iam_group_policy                policy of a group of users
        iam_group_policy_attachment     policy held by a group of users
        iam_instance_profile            instance profile
        iam_openid_connect_provider     identity provider (OpenID Connect)
        iam_policy                      policy
        iam_policy_attachment           holders of a policy
        iam_role                        role
        iam_role_policies_exclusive     list of a role's own policies
        iam_role_policy                 policy of a role
        iam_role_policy_attachment      policy held by a role
        iam_role_policy_attachments_exclusive    list of policies held by a role
        iam_saml_provider               identity provider (SAML)
        iam_service_linked_role         service-linked role
        iam_user                        user
        iam_user_policy                 policy of a user
        iam_user_policy_attachment      policy held by a user
        """,
    ),
    **_rows(
        COMMANDS,
        """
        ec2_instance_connect_endpoint    endpoint of Instance Connect
        ec2_serial_console_access        access to serial consoles
        sqs_queue                        queue
        sqs_queue_policy                 policy of a queue
        sqs_queue_redrive_policy         redrive policy of a queue
        ssm_association                  association of a document
        ssm_document                     document
        ssm_parameter                    parameter
        ssm_service_setting              setting of Systems Manager
        ssm_resource_data_sync           inventory copy
        """,
    ),
    **_rows(
        LEASE,
        """
        budgets_budget                      budget
        budgets_budget_action               action of a budget
        cloudwatch_event_permission         permission on an event bus
        cloudwatch_event_rule               event rule
        cloudwatch_event_target             target of an event rule
        lambda_alias                        name of a function
        lambda_function                     function
        lambda_function_event_invoke_config retries of a function
        lambda_permission                   permission to call a function
        scheduler_schedule                  schedule
        scheduler_schedule_group            group of schedules
        sns_topic                           topic
        sns_topic_policy                    policy of a topic
        sns_topic_subscription              subscription
        """,
    ),
    **_rows(
        AUDIT,
        """
        accessanalyzer_analyzer           access analyzer
        cloudtrail                        trail
        cloudtrail_event_data_store*      event data store
        cloudwatch_dashboard              dashboard
        cloudwatch_log_group*             log group
        cloudwatch_log_metric_filter      metric filter
        cloudwatch_log_resource_policy    policy on log groups
        cloudwatch_log_stream             log stream
        cloudwatch_log_subscription_filter    subscription of a log group
        cloudwatch_metric_alarm           alarm
        config_config_rule                configuration rule
        config_configuration_recorder     configuration recorder
        config_delivery_channel           delivery of configuration records
        guardduty_detector                threat detector
        """,
    ),
}
"""Every resource type that the stacks use or may come to use."""


def kind_of(resource_type: str) -> Kind:
    """Return what a type is; one that nobody described is `other`, under its own name."""
    return KINDS.get(resource_type) or Kind(OTHER, resource_type.removeprefix("aws_").replace("_", " "))


def room_of(resource_type: str, stack: str) -> str:
    """Return the room of a resource; the account's storage (ledger, trail, state) is all kept for audit."""
    room = kind_of(resource_type).room
    return AUDIT if stack == naming.ACCOUNT_STACK and room == STORAGE else room
