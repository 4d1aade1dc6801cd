"""What the generated classes stand on: checked arguments, references, and one CDKTF element each."""

# No `from __future__ import annotations` here: the checks read the annotations of the TypedDicts as objects.

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NotRequired, TypedDict, overload

from stacks.aws.check import problems_of
from stacks.cdk import Stack


class Ref(str):
    """A reference, `${aws_vpc.main.id}`: text to Python, a value of any type to Terraform."""

    __slots__ = ()


class Attribute:
    """An attribute of a generated class: reading it from an element gives the reference to it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, element: None, owner: type) -> "Attribute": ...

    @overload
    def __get__(self, element: "Element", owner: type) -> Ref: ...

    def __get__(self, element: "Element | None", owner: type) -> "Attribute | Ref":
        return self if element is None else element.ref(self._name)


class Element:
    """A resource or a data source: its address, and references to what it exports."""

    TYPE: ClassVar[str]
    """The provider's name of the type, `aws_vpc`."""
    ARGUMENTS: ClassVar[type]
    """The TypedDict of the arguments."""
    EXPORTS: ClassVar[frozenset[str]]
    """Every attribute that can be referred to, those included that are lists or maps."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ref(self, attribute: str, index: int | None = None) -> Ref:
        """Return the reference to an attribute, or to one element of an attribute that is a list."""
        assert attribute in self.EXPORTS, (
            f"{self.TYPE} has no attribute {attribute!r}: {sorted(self.EXPORTS)}"
        )
        return Ref(f"${{{self.address}.{attribute}{'' if index is None else f'[{index}]'}}}")


class Lifecycle(TypedDict):
    """Terraform's lifecycle block."""

    create_before_destroy: NotRequired[bool]
    prevent_destroy: NotRequired[bool]
    ignore_changes: NotRequired[Sequence[str]]
    replace_triggered_by: NotRequired[Sequence[str]]
    """Addresses (`terraform_data.machine`); a change of one of them replaces this resource."""


class Condition(TypedDict):
    """What must hold of an element, or Terraform goes no further."""

    condition: str
    """A reference that is true or false, `${self.enable_dns_support}`."""
    error_message: str
    """What is wrong and what to do, in sentences."""


class DataSourceLifecycle(TypedDict):
    """Terraform's lifecycle block of a data source."""

    postcondition: NotRequired[Sequence[Condition]]


class Meta(TypedDict):
    """What Terraform itself takes beside the arguments of anything."""

    depends_on: NotRequired[Sequence[Element]]
    provider: NotRequired[str]


class DataSourceMeta(Meta):
    """What Terraform itself takes beside the arguments of any data source."""

    lifecycle: NotRequired[DataSourceLifecycle]


class ResourceMeta(Meta):
    """What Terraform itself takes beside the arguments of any resource."""

    lifecycle: NotRequired[Lifecycle]


class Resource(Element):
    """A resource; a subclass for each type is generated."""

    def __init__(self, stack: Stack, name: str, arguments: Mapping[str, Any]) -> None:
        super().__init__(f"{self.TYPE}.{name}")
        stack.resource(self.TYPE, name, _checked(self, arguments))


class DataSource(Element):
    """A data source; a subclass for each type is generated."""

    def __init__(self, stack: Stack, name: str, arguments: Mapping[str, Any]) -> None:
        super().__init__(f"data.{self.TYPE}.{name}")
        stack.data_source(self.TYPE, name, _checked(self, arguments))


def literal(text: str) -> str:
    """Return the text so that Terraform takes it to the letter: `${` and `%{` are no templates of its own."""
    return text.replace("${", "$${").replace("%{", "%%{")


def _checked(element: Element, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as Terraform JSON; a wrong one is our own mistake and raises TypeError."""
    problems = problems_of(element.address, element.ARGUMENTS, arguments)
    if problems:
        raise TypeError("\n".join(problems))
    body = dict(arguments)
    if others := body.pop("depends_on", ()):
        body["depends_on"] = [other.address for other in others]
    return body
