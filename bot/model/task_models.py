"""A Model that asks another model for some tasks: a second look by a model that did not make the claim, a cheaper summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.core.claims.prompt import Prompt
from bot.core.costs import task_of
from bot.interfaces import Account, Model, ModelAnswer, Step, Tool


@dataclass(frozen=True, slots=True)
class TaskModels:
    """Asks the model in `others` that stands for the pass or the task of a prompt, and `default` for all else.

    A name is a pass (correctness, security, standards) or a task (verify, requirements, summary, answer, explain). One
    conversation for several passes is held by their model only if it is the same for all of them.
    """

    default: Model
    others: Mapping[str, Model]

    @property
    def name(self) -> str:
        """The default's name, and the name of each other model with what it is asked for."""
        others = (f"{task}: {model.name}" for task, model in sorted(self.others.items()))
        return "; ".join([self.default.name, *others])

    @property
    def available(self) -> bool:
        """Whether there is a model to ask."""
        return self.default.available

    async def ask(self, prompt: Prompt, tools: Sequence[Tool], step: Step, account: Account) -> ModelAnswer:
        """Holds the conversation with the model of the prompt's task; see Model."""
        return await self.model_for(prompt.name).ask(prompt, tools, step, account)

    def model_for(self, name: str) -> Model:
        """Returns the model for the prompt `name`: find/PASS+PASS/…, or TASK/…"""
        task, _, rest = name.partition("/")
        passes = rest.partition("/")[0].split("+") if task == "find" else [task_of(name)]
        models = [self.others.get(one, self.default) for one in passes]
        return models[0] if all(model is models[0] for model in models) else self.default

    async def close(self) -> None:
        """Closes the connections of all models."""
        for model in (self.default, *self.others.values()):
            await model.close()
