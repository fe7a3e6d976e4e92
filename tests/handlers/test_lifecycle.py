"""Findings that live as long as the pull request: each story ends with what stands on the pull request."""

import asyncio
from dataclasses import replace

import pytest

from bot.checks.hygiene import Hygiene
from bot.core.findings.known import FindingState
from bot.core.findings.muting import add_rates
from bot.sandbox.world.state import User
from bot.storage.audit import AuditLog
from bot.storage.figures import Figures, Window
from tests.support.review_rounds import Critic, ReviewRounds, ours, over, replies

BODY = "    total = 0\n    for item in items:\n        total += item.price\n"
BASE = {"shop.py": "def pay(items):\n" + BODY + "    return total\n", "other.py": "x = 1\n"}


def code(*lines, name="pay", body=BODY):
    return f"def {name}(items):\n" + body + "".join(f"    {line}\n" for line in lines) + "    return total\n"


@pytest.fixture
def tell(tmp_path):
    """Tells a story on a pull request that was reviewed once."""

    def tell(story, files, model=None, checks=()):
        async def whole():
            here = ReviewRounds(tmp_path, model or Critic(), checks)
            here.repo = repo = await here.sandbox.repository("octo/shop", BASE, private=True)
            repo.user("alice", "write")
            pull = await repo.open_pull("Pay", "", files)
            await here.settle()
            await story(here, pull)

        asyncio.run(whole())

    return tell


ONE, TWO = 'items.charge("flaw_one", total, twice=True)', 'items.refund("flaw_two", total, never=True)'
FLAWED = {"shop.py": code(ONE)}


async def read_again(here, pull):
    pull.comment("alice", "/assistant review full")
    await here.settle()


async def push(here, pull, files, **options):
    await pull.push(files, **options)
    await here.settle()


async def dismissals(here):
    """(what, who) of each dismissal in the audit log, and of each that was taken back."""
    entries = await AuditLog(here.ledger.database).entries()
    found = [(entry.what.partition(" ")[0], entry.detail.get("by") or entry.actor) for entry in entries]
    return [pair for pair in found if pair[0] in {"dismissed", "reopened"}]


def title(pull):
    return pull.check_runs()[-1].title


def test_a_paraphrase_is_no_second_finding(tell):
    async def story(here, pull):
        await read_again(here, pull)
        await read_again(here, pull)

        assert len(ours(pull)) == len(pull.reviews) == 1
        assert "No new findings, 1 still open" in title(pull)

    tell(story, FLAWED)


@pytest.mark.parametrize(
    "files",
    [
        {"other.py": "x = 2\n"},
        {"shop.py": "# One.\n# Two.\n\n" + code(ONE)},
        {"shop.py": "if True:\n" + "".join(f"    {line}\n" for line in code(ONE).splitlines())},
        {"shop.py": code('items.charge("flaw_one", total, twice=False)')},
        {"shop.py": code(ONE, name="pay_all")},
        {"shop.py": code("items.log(total)", ONE)},
    ],
    ids=["elsewhere", "line shift", "re-indented", "edited", "function renamed", "line added before"],
)
def test_a_finding_whose_code_goes_on_is_not_said_again(tell, files):
    async def story(here, pull):
        (thread,) = ours(pull)
        was = thread.body
        await push(here, pull, files)
        await read_again(here, pull)

        assert [said.body for said in ours(pull)] == [was]
        assert replies(pull) == []
        assert "1 still open" in title(pull)

    tell(story, FLAWED)


def test_a_rename_with_edits_takes_its_findings_along(tell):
    async def story(here, pull):
        await push(
            here,
            pull,
            {"shop.py": None, "till.py": "# The till.\n" + code('items.charge("flaw_one", total, twice=None)')},
        )
        await read_again(here, pull)

        (thread,) = ours(pull)
        assert "**Moved** to `till.py:" in thread.body
        assert replies(pull) == []
        assert "1 still open" in title(pull)

    tell(story, FLAWED)


def test_code_that_moves_to_another_file_takes_its_finding_along(tell):
    async def story(here, pull):
        await push(here, pull, {"shop.py": code("items.log(total)"), "till.py": code(ONE)})

        (thread,) = ours(pull)
        assert "**Moved** to `till.py:5`" in thread.body
        assert over(pull) == []

    tell(story, FLAWED)


def test_one_common_line_in_another_function_of_another_file_is_another_finding(tell):
    async def story(here, pull):
        await push(here, pull, {"shop.py": code("items.log(total)"), "till.py": code(ONE, name="till")})

        old, new = ours(pull)
        assert over(pull) == [old]
        assert "**Fixed** in" in old.body
        assert new.path == "till.py"

    tell(story, FLAWED)


def test_half_a_fix_closes_half(tell):
    async def story(here, pull):
        head = await pull.push({"shop.py": code("items.charge(total)", TWO)})
        await here.settle()

        (fixed,) = over(pull)
        assert f"**Fixed** in `{head[:7]}`" in fixed.body
        assert len(ours(pull)) == 2
        assert "No new findings, 1 still open" in title(pull)

    tell(story, {"shop.py": code(ONE, TWO)})


def test_a_fix_is_told_on_the_comment_and_a_revert_in_its_thread(tell):
    async def story(here, pull):
        (thread,) = ours(pull)
        was = thread.body.partition("<!--")[0]
        await push(here, pull, {"shop.py": code("items.charge(total)")})
        assert over(pull) == [thread]
        assert replies(pull) == []
        assert title(pull) == "No new findings"
        await push(here, pull, FLAWED)

        assert ours(pull) == [thread]
        assert thread.body.partition("<!--")[0] == was
        assert [said.body.partition(",")[0] for said in replies(pull)] == [f"This problem is back in `{pull.head[:7]}`"]
        assert "1 still open" in title(pull)

    tell(story, FLAWED)


def test_people_in_a_thread_are_told_of_its_fix(tell):
    async def story(here, pull):
        pull.reply(ours(pull)[0].id, "alice", "Right, I will look at it.")
        await push(here, pull, {"shop.py": code("items.charge(total)")})

        assert len(replies(pull)) == 1
        assert "**Fixed**" in replies(pull)[0].body

    tell(story, FLAWED)


class Distant(Critic):
    """Finds the flaw in code of the same file that the change leaves alone, because of a line that changed."""

    def _found(self, source, line):
        for one in super()._found(source, line):
            shown = f"{one['path']}:{one['near']}: {one['quoted_code']}"
            yield one | {"quoted_code": "    close(the_old_till)", "near": None, "evidence": [shown]}


def test_a_finding_on_code_that_the_change_leaves_alone_stands_with_it(tell):
    far = "".join(f"# {n}\n" for n in range(20)) + "def close(till):\n    close(the_old_till)\n"

    async def states(here):
        return [known.state for known in await here.ledger.findings(here.ref)]

    async def story(here, pull):
        assert ours(pull) == []
        (review,) = pull.reviews  # one notification, with a link to the file
        assert "**[`shop.py`](" in review.body
        await push(here, pull, {"other.py": "x = 2\n"})
        assert await states(here) == [FindingState.OPEN]
        await push(here, pull, {"shop.py": code(ONE, TWO) + far})
        assert FindingState.FIXED not in await states(here)

    async def begin(here, pull):
        await here.repo.push({"shop.py": BASE["shop.py"] + far})
        await pull.rebase()
        await pull.push({"shop.py": code(ONE) + far})
        await here.settle()
        await story(here, pull)

    tell(begin, {"other.py": "x = 0\n"}, Distant())


@pytest.mark.parametrize("how", ["rebase", "merge", "squash"])
def test_history_that_is_rewritten_around_the_change_costs_nothing(tell, how):
    critic = Critic()

    async def story(here, pull):
        await here.repo.push({"readme.md": "Hello.\n"})
        read = len(critic.read)
        if how == "rebase":
            await pull.rebase()
        elif how == "merge":
            await pull.merge_base_in()
        else:
            await pull.push(FLAWED, force=True, message="Pay, at once")
        await here.settle()

        assert len(critic.read) == read
        assert len(ours(pull)) == len(pull.reviews) == 1
        assert over(pull) == replies(pull) == []
        assert "1 still open" in title(pull)

    tell(story, FLAWED, critic)


def test_a_force_push_to_something_else_closes_the_old_and_says_the_new(tell):
    async def story(here, pull):
        await push(here, pull, {"other.py": 'x = "flaw_three"\n'}, force=True)

        assert [said.path for said in over(pull)] == ["shop.py"]
        assert "**Outdated** since" in over(pull)[0].body
        assert [said.path for said in ours(pull)] == ["shop.py", "other.py"]

    tell(story, FLAWED)


def test_the_same_flaw_at_two_places_is_two_findings_and_one_of_them_can_be_fixed(tell):
    async def story(here, pull):
        assert len(ours(pull)) == 2
        await push(here, pull, {"shop.py": code(ONE, "items.log(total)")})
        assert len(over(pull)) == 1
        await push(here, pull, {"shop.py": code(ONE, "items.log(total)", ONE), "other.py": f"{ONE}\n"})

        assert over(pull) == []
        assert [said.path for said in ours(pull)] == ["shop.py", "shop.py", "other.py"]

    tell(story, {"shop.py": code(ONE, "items.log(total)", ONE)})


def test_what_was_dismissed_stays_dismissed_when_its_code_is_touched(tell):
    async def story(here, pull):
        (thread,) = ours(pull)
        await here.known_findings.dismiss(here.ref, thread.id, "alice", "We charge twice on purpose")
        pull.resolve(thread, "alice")
        await here.settle()
        assert "**Dismissed** by `alice`: We charge twice on purpose" in thread.body
        await push(here, pull, {"shop.py": code('items.charge("flaw_one", total, twice=None)')})
        await read_again(here, pull)

        assert ours(pull) == [thread]
        assert title(pull) == "No new findings"
        assert [one.reason for one in await here.ledger.findings(here.ref)] == ["We charge twice on purpose"]

    tell(story, FLAWED)


def test_a_function_with_another_name_is_another_place_for_a_dismissal(tell):
    async def story(here, pull):
        (thread,) = ours(pull)
        await here.known_findings.dismiss(here.ref, thread.id, "alice", "On purpose")
        await push(here, pull, {"shop.py": code(ONE, name="settle_up")})

        old, new = ours(pull)
        assert "**Dismissed** by `alice`" in old.body
        assert "flaw_one" in new.body
        assert "1 new finding" in title(pull)

    tell(story, FLAWED)


def test_what_was_dismissed_and_got_worse_is_said_once_more_and_never_again(tell):
    async def story(here, pull):
        (thread,) = ours(pull)
        await here.known_findings.dismiss(here.ref, thread.id, "alice", "On purpose")
        await push(here, pull, {"shop.py": code('items.charge("flawed_one", total, twice=True)')})

        old, new = ours(pull)
        assert "**Posted again** in a newer comment" in old.body
        assert "Dismissed by alice before" in new.body
        assert "warning then, error now" in new.body
        pull.resolve(old, "alice")
        await here.settle()
        assert "**Posted again**" in old.body
        await here.known_findings.dismiss(here.ref, new.id, "alice", "Really on purpose")
        await push(here, pull, {"shop.py": code('items.charge("flaw_one", total, twice=None)')})
        await push(here, pull, {"shop.py": code('items.charge("flawed_one", total, twice=None)')})

        assert ours(pull) == [old, new]

    tell(story, FLAWED)


def test_a_thread_that_a_person_resolves_without_a_change_is_dismissed_until_it_is_reopened(tell):
    async def story(here, pull):
        (thread,) = ours(pull)
        pull.resolve(thread, "alice")
        await here.settle()
        assert "**Resolved** by `alice`: resolved without a change" in thread.body
        await push(here, pull, {"shop.py": code("items.log(total)", ONE)})
        assert title(pull) == "No new findings"
        pull.resolve(thread, "alice", done=False)
        await here.settle()
        await read_again(here, pull)

        assert ours(pull) == [thread]
        assert over(pull) == []
        assert "1 still open" in title(pull)
        assert await dismissals(here) == [("dismissed", "alice"), ("reopened", "alice")]

    tell(story, FLAWED)


@pytest.mark.parametrize(("who", "heeded"), [("alice", True), ("mallory", False), ("alice[bot]", False)])
def test_a_resolved_thread_is_seen_at_the_next_review_if_its_webhook_was_lost(tell, who, heeded):
    async def story(here, pull):
        (thread,) = ours(pull)
        here.sandbox.world.users["alice[bot]"] = User(98, "alice[bot]", "Bot")
        pull.resolve(thread, who)
        here.lose()
        await push(here, pull, {"other.py": "x = 2\n"})
        (known,) = await here.ledger.findings(here.ref)

        assert ("**Resolved** by `alice`: resolved without a change" in thread.body) is heeded
        assert known.resolved == (who if heeded else "")
        assert ours(pull) == [thread]
        assert await dismissals(here) == ([("dismissed", "alice")] if heeded else [])

    tell(story, FLAWED)


@pytest.mark.parametrize("lost", [False, True])
def test_a_resolved_thread_whose_code_then_changes_is_fixed(tell, lost):
    async def story(here, pull):
        (thread,) = ours(pull)
        pull.resolve(thread, "alice")
        if lost:
            here.lose()
        await push(here, pull, {"shop.py": code("items.charge(total)")})
        (known,) = await here.ledger.findings(here.ref)

        assert "**Fixed** in" in thread.body
        assert known.resolved == "alice"

    tell(story, FLAWED)


@pytest.mark.parametrize(("who", "heeded"), [("alice", True), ("mallory", False)])
def test_a_thumbs_down_of_somebody_who_may_command_is_a_dismissal_until_it_is_taken_back(tell, who, heeded):
    async def story(here, pull):
        (thread,) = ours(pull)
        pull.react(thread, who, "-1")
        await push(here, pull, {"other.py": "x = 2\n"})

        assert bool(over(pull)) is heeded
        assert ("still open" in title(pull)) is not heeded
        assert await dismissals(here) == ([("dismissed", "alice")] if heeded else [])
        thread.reactions.clear()
        await push(here, pull, {"other.py": "x = 3\n"})

        assert over(pull) == replies(pull) == []
        assert "1 still open" in title(pull)
        assert await dismissals(here) == ([("dismissed", "alice"), ("reopened", "alice")] if heeded else [])

    tell(story, FLAWED)


@pytest.mark.parametrize(
    ("who", "words", "linked"),
    [
        ("linter[bot]", "Do not call flaw_one.", True),
        ("linter[bot]", "This line is too long.", False),
        ("alice", "Is flaw_one a mistake, or what is wrong here?", True),
        ("alice", "Nice!", False),
    ],
)
def test_what_somebody_said_first_gets_a_link_and_no_thread(tell, who, words, linked):
    async def story(here, pull):
        here.sandbox.world.users["linter[bot]"] = User(99, "linter[bot]", "Bot")
        await pull.push(FLAWED)
        theirs = await pull.say(who, words, "shop.py", 5)
        await here.settle()
        assert len([said for said in ours(pull) if said is not theirs]) == (not linked)
        assert (f"[posted here]({here.sandbox.world.url}/octo/shop/pull/1#" in pull.check_runs()[-1].text) is linked
        await push(here, pull, {"other.py": "x = 2\n"})

        assert len([said for said in ours(pull) if said is not theirs]) == (not linked)
        assert "No new findings, 1 still open" in title(pull)

    tell(story, {"shop.py": code("items.log(total)")})


def test_what_is_over_the_budget_stands_in_the_check_run_at_once_and_is_never_dripped(tell):
    flaws = {"shop.py": code(*(f'items.charge("flaw_{n}", {n})' for n in range(14)))}

    async def story(here, pull):
        assert len(ours(pull)) == 10
        assert title(pull) == "14 new findings"
        await push(here, pull, {"other.py": "x = 2\n"})
        await read_again(here, pull)

        assert len(ours(pull)) == 10
        assert title(pull) == "No new findings, 14 still open"

    tell(story, flaws)


def test_a_lost_database_costs_no_thread_and_no_judgement(tell):
    async def story(here, pull):
        first, second = ours(pull)
        await here.known_findings.dismiss(here.ref, second.id, "alice", "On purpose")
        await push(here, pull, {"shop.py": code("items.charge(total)", TWO)})
        bodies = [said.body for said in ours(pull)]
        here.restart(forgetful=True)
        await read_again(here, pull)
        assert [said.body for said in ours(pull)] == bodies
        await push(here, pull, {"shop.py": code(ONE, TWO)})

        assert ours(pull) == [first, second]
        assert over(pull) == [second]
        assert len(replies(pull)) == 1

    tell(story, {"shop.py": code(ONE, TWO)})


class Interrupted(Critic):
    """Something happens while the model reads."""

    happens = None

    async def ask(self, prompt, tools, step, account):
        answer = await super().ask(prompt, tools, step, account)
        if self.happens and prompt.name.startswith("verify"):
            happens, self.happens = self.happens, None
            await happens()
        return answer


@pytest.mark.parametrize("happens", ["push", "close", "merge", "draft"])
def test_nothing_is_said_on_a_head_that_is_no_longer_reviewed(tell, happens):
    critic = Interrupted()

    async def story(here, pull):
        (thread,) = ours(pull)
        was = thread.body

        async def interrupt():
            match happens:
                case "push":
                    await pull.push({"other.py": "x = 3\n"})
                case "draft":
                    pull.convert_to_draft()
                case _:
                    await pull.close(merged=happens == "merge")

        critic.happens = interrupt
        await push(here, pull, {"shop.py": code("items.charge(total)", TWO)})
        assert len(here.ended) == 1
        assert len(ours(pull)) == len(pull.reviews) == 1
        assert thread.body == was
        if happens == "push":
            await here.settle()

            assert over(pull) == [thread]
            assert [said.original_commit for said in ours(pull)[1:]] == [pull.head]

    tell(story, FLAWED, critic)


def test_a_head_that_moves_while_there_is_nothing_to_post_leaves_the_comments_alone(tell):
    async def story(here, pull):
        (thread,) = ours(pull)
        was = thread.body
        await pull.push({"shop.py": code("items.charge(total)")})
        jobs = [replace(job, seen=await here.host.pull_request(job.pull)) for job in here.jobs()]
        await pull.push({"other.py": "x = 2\n"})
        await here.work(jobs)

        assert thread.body == was
        assert len(here.ended) == 1

    tell(story, FLAWED)


def test_outcomes_are_strict_about_who_saw_the_fix(tell):
    lines = [f'items.call_{n}("flaw_{n}", amount_{n})' for n in range(4)]

    async def story(here, pull):
        threads = ours(pull)
        pull.resolve(threads[0], "alice")  # and then changed: addressed
        await here.known_findings.dismiss(here.ref, threads[2].id, "alice", "No")
        await push(here, pull, {"shop.py": code(*lines[2:])})  # 1 is gone without a witness, 3 stays
        await pull.close(merged=True)
        await here.settle()

        merged = add_rates(await Figures(here.ledger.database).outcomes(Window()))
        assert (merged.addressed, merged.fixed, merged.dismissed, merged.ignored) == (1, 1, 1, 1)

    tell(story, {"shop.py": code(*lines)})


def test_a_committed_suggestion_is_addressed(tell):
    async def story(here, pull):
        (known,) = await here.ledger.findings(here.ref)
        await here.ledger.keep(here.ref, [replace(known, suggestion="    items.charge(total)")])
        await pull.push({"shop.py": code("items.charge(total)")})
        await pull.close(merged=True)
        await here.settle()

        (merged,) = await Figures(here.ledger.database).outcomes(Window())
        assert (merged.addressed, merged.total) == (1, 1)

    tell(story, FLAWED)


@pytest.mark.parametrize("allowed", [True, False])
def test_threads_are_resolved_only_where_the_app_may(tell, allowed):
    async def story(here, pull):
        if allowed:
            here.sandbox.install("octo", here.sandbox.world.app.permissions | {"contents": "write"})
        here.reviewer = replace(here.reviewer, known_findings=replace(here.known_findings, resolves=True))
        await push(here, pull, {"shop.py": code("items.charge(total)")})

        (thread,) = over(pull)
        assert (thread.resolved_by is not None) is allowed
        assert here.ended == []

    tell(story, FLAWED)


def test_a_rule_the_team_keeps_dismissing_is_muted_in_the_open_until_it_is_wanted_again(tell):
    flawed = {"shop.py": BASE["shop.py"] + "\n\nbreakpoint()\n"}

    async def story(here, pull):
        (thread,) = ours(pull)
        (known,) = await here.ledger.findings(here.ref)
        times = [replace(known, identity=f"{n:016x}", state=FindingState.DISMISSED) for n in range(9)]
        await here.ledger.keep(replace(here.ref, number=99), times)
        await push(here, pull, {"other.py": "breakpoint()\n"})
        assert ours(pull) == [thread]
        assert f"`{known.topic}` is muted: dismissed 9 of 9 times" in pull.check_runs()[-1].summary
        await here.repo.push({".github/assistant.yml": f"unmute: [{known.topic}]\n"})
        await pull.rebase()
        await here.settle()

        assert [said.path for said in ours(pull)] == ["shop.py", "other.py"]

    tell(story, flawed, checks=[Hygiene()])


def test_a_check_that_falls_silent_has_seen_the_fix(tell):
    stop = {"shop.py": BASE["shop.py"] + "\n\nbreakpoint()\n"}

    async def story(here, pull):
        (thread,) = ours(pull)
        await push(here, pull, {"shop.py": "# Paid.\n" + stop["shop.py"]})
        assert over(pull) == []
        await push(here, pull, {"shop.py": "# Paid.\n" + BASE["shop.py"]})
        assert over(pull) == [thread]
        assert "**Fixed**" in thread.body
        await push(here, pull, stop)
        assert over(pull) == []
        await here.repo.push(stop)
        await pull.merge_base_in()
        await here.settle()

        assert "**Outdated**" in thread.body

    tell(story, stop, checks=[Hygiene()])
