"""The controller's records, one resource a file."""

from controller.models.app import TLS, App, AppSettings, Collaborator
from controller.models.audit import AuditEntry, AuditOutcome
from controller.models.build import Build
from controller.models.build_run import BuildRun
from controller.models.certificate import Certificate
from controller.models.config import Config
from controller.models.config_sharing import ConfigGroup, ConfigLink, ConfigRefresh, GroupAttachment
from controller.models.cron import CronEntry, CronPause
from controller.models.domain import Domain
from controller.models.event import Event
from controller.models.git_source import GitSource
from controller.models.identity import Identity, LoginGrant
from controller.models.invitation import Invitation
from controller.models.key import Key
from controller.models.log_drain import LogDrain, LogRetention
from controller.models.notice import CertificateAlarm, CrashMark, Delivery, DiskAlarm, MailSubscription, Notice, Webhook
from controller.models.one_off import OneOff
from controller.models.operation import Operation
from controller.models.output import OutputLine
from controller.models.pipeline import Pipeline, PipelineApp
from controller.models.release import Release
from controller.models.scaling import ScalingState
from controller.models.second_factor import SecondFactor
from controller.models.service import Service
from controller.models.sign_in import SignIn
from controller.models.team import Member, Team, TeamAccess
from controller.models.token import PersonalToken
from controller.models.usage import TrafficReading, Usage
from controller.models.user import User
from controller.models.watch import Watch

__all__ = (
    "TLS",
    "App",
    "AppSettings",
    "AuditEntry",
    "AuditOutcome",
    "Build",
    "BuildRun",
    "Certificate",
    "CertificateAlarm",
    "Collaborator",
    "Config",
    "ConfigGroup",
    "ConfigLink",
    "ConfigRefresh",
    "CrashMark",
    "Delivery",
    "DiskAlarm",
    "CronEntry",
    "CronPause",
    "Domain",
    "Event",
    "GitSource",
    "GroupAttachment",
    "Identity",
    "Invitation",
    "Key",
    "LoginGrant",
    "MailSubscription",
    "LogDrain",
    "LogRetention",
    "Member",
    "Notice",
    "OneOff",
    "Operation",
    "OutputLine",
    "PersonalToken",
    "Pipeline",
    "PipelineApp",
    "Release",
    "SecondFactor",
    "ScalingState",
    "Service",
    "SignIn",
    "Team",
    "TeamAccess",
    "TrafficReading",
    "Usage",
    "User",
    "Webhook",
    "Watch",
)
