"""Policy: what this repository wants, as written in .github/assistant.yml on its base branch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PATH = ".github/assistant.yml"
LABEL = "assistant:review"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Triggers(_Section):
    """When a review starts by itself."""

    opened: bool = Field(default=True, description="Review when a pull request is opened, reopened or made ready.")
    pushed: bool = Field(default=True, description="Review again when commits are pushed.")
    drafts: bool = Field(default=False, description="Review drafts too.")
    first_time_contributors: Literal["always", "collaborators", "after_label"] | None = Field(
        None,
        description="Automatic review for people new to the repository. "
        "Default: after_label in public repositories, always elsewhere.",
    )


class PathInstruction(_Section):
    """Extra guidance for some files."""

    paths: tuple[str, ...] = Field(description="Globs of the files this is about.")
    instructions: str = Field(max_length=4000, description="What the reviewer should know or look at there.")


class StandardsSection(_Section):
    """Where the team's rules are, on the base branch."""

    paths: tuple[str, ...] = Field(
        ("docs/standards/**", "docs/coding-standards*", "STYLE*.md", "CONTRIBUTING.md"),
        description="Globs of the documents.",
    )
    conventions: bool = Field(
        default=True, description="Also read AGENTS.md, CLAUDE.md, REVIEW.md, Copilot and Cursor rules, .editorconfig."
    )
    public: tuple[str, ...] = Field(
        (), description="Globs of documents that readers of a public repository may be shown."
    )


class Budgets(_Section):
    """Bounds of one review; they can only lower what the operator allows."""

    dollars: float | None = Field(None, ge=0, description="At most this many US dollars per review.")
    tokens: int | None = Field(None, ge=0, description="At most this many tokens per review.")


class Policy(_Section):
    """The whole file. Every key is optional."""

    triggers: Triggers = Field(default=Triggers(), description="When a review starts by itself.")
    label: str = Field(LABEL, max_length=50, description="The label that asks for a full review.")
    ignore: tuple[str, ...] = Field((), description="Globs of files that are not reviewed.")
    generated: tuple[str, ...] = Field((), description="Globs of generated or vendored files, beside the usual ones.")
    path_instructions: tuple[PathInstruction, ...] = Field((), description="Extra guidance for some files.")
    languages: tuple[str, ...] = Field((), description="Review only these languages; empty: all.")
    standards: StandardsSection = Field(default=StandardsSection(), description="Where the team's rules are.")
    checks: tuple[str, ...] | None = Field(None, description="Which checks run; default: all the operator offers.")
    passes: tuple[str, ...] | None = Field(
        None, description="Which model passes run; default: all the operator offers."
    )
    severity: Literal["note", "warning", "error"] = Field("note", description="Say nothing below this severity.")
    comments: int = Field(10, ge=0, le=30, description="At most this many inline comments per review.")
    summary: Literal["off", "on_request", "always"] = Field("on_request", description="When to post a walkthrough.")
    suggestions: bool = Field(default=True, description="Offer committable suggestions where they are proven to apply.")
    tone: str = Field("", max_length=200, description="Tone of voice for the model, for example: friendly.")
    minimum_permission: Literal["triage", "write"] = Field("write", description="Who may command the assistant.")
    budgets: Budgets = Field(default=Budgets(), description="Bounds of one review.")
