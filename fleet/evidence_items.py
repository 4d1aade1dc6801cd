"""What an evidence pack holds, item by item: where it lies, what it shows, and towards which controls.

The controls are those of CIS AWS Foundations 7.0, AWS Foundational Security Best Practices (FSBP) and KISA
ISMS-P. An item is evidence towards a control; that the control is met is for the auditor to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")
Key = Literal[
    "ledger",
    "checkpoints",
    "entries",
    "trail",
    "timelines",
    "refusals",
    "people",
    "reviews",
    "changes",
    "plans",
    "scans",
    "receipts",
    "costs",
]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of evidence."""

    path: str
    """In the pack; a folder ends with a slash."""
    title: Mapping[Language, str]
    shows: Mapping[Language, str]
    controls: tuple[str, ...]

    def towards(self, language: Language) -> str:
        """Return the controls in one line, or that there are none and what the item is there for."""
        return ", ".join(self.controls) or _TOWARDS_NONE[language]


_TOWARDS_NONE: Mapping[Language, str] = {
    "en": "Answers no control of these three. It is there for whoever accounts for the money and checks what "
    "was used, by whom and for what",
    "ko": "이 세 기준의 통제 항목에 해당하지 않습니다. "
    "비용을 정산하고 누가 무엇을 어디에 썼는지 확인하기 위한 자료입니다",
}
"""Of the costs: none of the three asks what was paid, and a bill is no list of assets with who answers for
each, as ISMS-P 1.2.1 and 2.1.3 want one."""


def _kind(path: str, en: tuple[str, str], ko: tuple[str, str], *controls: str) -> Kind:
    return Kind(
        path=path,
        title={"en": en[0], "ko": ko[0]},
        shows={"en": en[1], "ko": ko[1]},
        controls=controls,
    )


KINDS: Mapping[Key, Kind] = {
    "ledger": _kind(
        "ledger/",
        ("The ledger's entries", "every entry of the period as it was first written, linked by hashes"),
        ("감사 기록 원본", "기간 안의 모든 기록 원본. 해시로 서로 이어져 있습니다"),
        "ISMS-P 2.9.4",
    ),
    "checkpoints": _kind(
        "checkpoints/",
        (
            "The ledger's signed checkpoints",
            "the ledger's head at times, signed by a key that only the reaper has",
        ),
        ("감사 기록의 서명된 체크포인트", "시점별 감사 기록의 끝. 리퍼만 쓰는 키로 서명됩니다"),
        "ISMS-P 2.9.4",
    ),
    "entries": _kind(
        "entries.csv",
        ("Who did what", "the same as a table (entries.json has all of each)"),
        ("누가 무엇을 했는가", "같은 기록을 표로 정리한 것(전체 내용은 entries.json)"),
        "ISMS-P 2.9.4",
        "ISMS-P 2.9.5",
        "ISMS-P 2.10.2",
    ),
    "trail": _kind(
        "trail.json",
        ("CloudTrail's digests", "whether CloudTrail's signed digests bear out its files of the period"),
        ("CloudTrail 다이제스트", "기간 안의 CloudTrail 파일이 서명된 다이제스트와 일치하는지"),
        "CIS 4.1",
        "CIS 4.2",
        "FSBP CloudTrail.1",
        "FSBP CloudTrail.4",
        "ISMS-P 2.9.4",
    ),
    "timelines": _kind(
        "timelines/",
        ("Who entered which machine", "how, when, why, and how much is recorded of what was done"),
        ("누가 어느 서버에 들어갔는가", "방법, 시각, 사유, 작업 내용이 기록된 정도"),
        "ISMS-P 2.6.2",
        "ISMS-P 2.6.6",
        "ISMS-P 2.9.5",
    ),
    "refusals": _kind(
        "refusals.csv",
        ("Failed sign-ins and refusals", "what somebody tried and was not let do"),
        ("로그인 실패와 거부", "시도했으나 허용되지 않은 일"),
        "ISMS-P 2.11.3",
        "ISMS-P 2.6.2",
    ),
    "people": _kind(
        "people.csv",
        ("Changes of people and roles", "who gave or took which role, whom, and when"),
        ("사람과 역할의 변경", "누가 언제 누구에게 어떤 역할을 주거나 거두었는지"),
        "ISMS-P 2.5.5",
        "ISMS-P 2.5.6",
    ),
    "reviews": _kind(
        "reviews.csv",
        ("Reviews and looks at the record", "signed reviews of access and of logs, verifications, exports"),
        ("검토와 기록 열람", "서명된 접근 권한 검토와 로그 검토, 검증, 내보내기"),
        "ISMS-P 2.5.6",
        "ISMS-P 2.9.5",
    ),
    "changes": _kind(
        "changes.csv",
        (
            "Builds, changes and teardowns",
            "what each apply changed, by whom, the digest of its configuration, the hash of its entry",
        ),
        ("구축, 변경, 철거", "적용할 때마다 누가 무엇을 바꾸었는지, 적용한 구성의 다이제스트와 기록의 해시"),
        "ISMS-P 2.9.1",
        "ISMS-P 2.10.2",
    ),
    "plans": _kind(
        "plans/",
        (
            "What was applied",
            "each apply's changes by resource and its configuration, by the ledger's digests",
        ),
        ("적용 내역", "적용할 때마다 리소스별 변경과 그 구성. 감사 기록의 다이제스트와 대조"),
        "ISMS-P 2.9.1",
        "ISMS-P 2.10.2",
    ),
    "scans": _kind(
        "scans.csv",
        (
            "Scans by policy",
            "how many resources and checks, what failed, what is waived, by whom and why (scans/)",
        ),
        ("정책 점검", "점검한 리소스와 항목의 수, 실패한 항목, 예외의 사유와 책임자(scans/ 참고)"),
        "CIS 2.14",
        "CIS 3.1.4",
        "CIS 4.1",
        "CIS 4.2",
        "CIS 4.5",
        "CIS 4.6",
        "CIS 4.7",
        "CIS 6.3",
        "CIS 6.5",
        "CIS 6.7",
        "FSBP CloudTrail.2",
        "FSBP EC2.2",
        "FSBP EC2.6",
        "FSBP EC2.8",
        "FSBP EC2.9",
        "FSBP IAM.1",
        "FSBP S3.8",
        "ISMS-P 2.10.2",
        "ISMS-P 2.11.2",
    ),
    "receipts": _kind(
        "receipts/",
        ("Receipts of teardowns", "what was left after each, held against the digest in the ledger"),
        ("철거 확인서", "철거 뒤 남은 것. 감사 기록의 다이제스트와 대조한 결과 포함"),
        "ISMS-P 2.9.7",
        "ISMS-P 2.10.2",
    ),
    "costs": _kind(
        "costs.csv",
        ("Costs", "by environment and month, at list price (costs.json: by team, run, person and use)"),
        ("비용", "환경별, 월별, 정가 기준(costs.json: 팀, 실행, 사람, 용도별)"),
    ),
}


Trouble = Mapping[Language, str]
"""A sentence, by language."""


def trouble(en: str, ko: str) -> Trouble:
    """Return a sentence in both languages."""
    return {"en": en, "ko": ko}


def as_told(text: str) -> Trouble:
    """Return what somebody else has said, a cloud for one: the same in both languages."""
    return trouble(text, text)


@dataclass(frozen=True, kw_only=True)
class Found:
    """How much of one kind there is in a pack."""

    key: Key
    count: int
    troubles: tuple[Trouble, ...] = ()
    """Why it is missing or not whole, and what is wrong with it."""

    @property
    def trouble(self) -> str:
        """All of that in English, "" for nothing."""
        return self.trouble_in("en")

    def trouble_in(self, language: Language) -> str:
        """Return all of that in one line, "" for nothing."""
        return "; ".join(each[language] for each in self.troubles)
