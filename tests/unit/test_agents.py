"""The agents around a model: what it is shown, and how its answers become actions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import msgspec
import pytest
from impress_agents.chat import NUDGE, ChatAgent
from impress_agents.plan import CHECK, PLAN, PlanAgent
from impress_agents.react import PROTOCOL, ReactAgent, read_turn

from impress_env.agent import Agent
from impress_env.env import ScenarioEnv, as_messages
from impress_env.model import Called, Completion, ModelError, Sampling, Spent, Usage
from impress_env.models.scripted import ScriptedModel, calls, says
from impress_env.records import Trajectory
from impress_env.rollout import Episode, rollout
from impress_env.types import Message, ToolCall

FAMILY = "devops.signal-tuning"
FINISH = calls("work__finish", report="Done.")


def play(agent: Agent, answers: Sequence[Completion], **more: object) -> tuple[Trajectory, ScriptedModel]:
    model = ScriptedModel(answers)
    episode = Episode(agent="test", family=FAMILY, **{k: v for k, v in more.items() if k in ("framing", "start")})  # type: ignore[arg-type]
    rest = {key: value for key, value in more.items() if key not in ("framing", "start")}
    return asyncio.run(rollout(episode, agent, model=model, **rest)), model  # type: ignore[arg-type]


def both(*called: tuple[str, str]) -> Completion:
    """A completion of several calls, each (tool, id)."""
    return Completion(calls=tuple(Called(call=ToolCall(tool=tool, id=name)) for tool, name in called), stop="calls")


def test_a_chat_agent_shows_the_familys_texts_as_they_are_and_the_history_as_it_grew() -> None:
    trajectory, model = play(ChatAgent(), [calls("mail__inbox"), calls("signals__list_rules"), FINISH])
    first, tools, _ = model.asked[0]
    assert [message.role for message in first] == ["system", "user"]
    assert (first[0].content, first[1].content) == (trajectory.header.system, trajectory.header.task)
    assert len(tools) == len(trajectory.header.tools)
    last = model.asked[2][0]
    assert [message.role for message in last] == ["system", "user", "assistant", "tool", "assistant", "tool"]
    assert last[3].content == trajectory.steps[0].result
    assert trajectory.end.ended == "finished"


def test_what_a_chat_agent_shows_is_the_canonical_rendering_of_the_episode() -> None:
    env = ScenarioEnv(FAMILY)
    reset, _ = env.reset(seed=100)
    answers = [both(("mail__inbox", "a"), ("signals__list_rules", "b")), calls("mail__inbox"), FINISH]
    trajectory, model = play(ChatAgent(), answers)
    history = [(step.action, env.step(step.action)[0]) for step in trajectory.steps]
    shown = as_messages(reset, history[:-1])
    assert list(model.asked[-1][0]) == shown


def test_calls_made_together_are_steps_of_their_own_in_order() -> None:
    trajectory, model = play(ChatAgent(), [both(("mail__inbox", "a"), ("signals__list_rules", "b")), FINISH])
    assert [step.tool for step in trajectory.steps] == ["mail.inbox", "signals.list_rules", "work.finish"]
    assert [step.action.joined for step in trajectory.steps] == [False, True, False]
    shown = model.asked[1][0]
    assert [call.id for call in shown[2].calls] == ["a", "b"]
    assert [message.call_id for message in shown[3:]] == ["a", "b"]


def test_calls_after_the_end_of_the_work_are_not_made() -> None:
    together = both(("work__decline", "a"), ("mail__inbox", "b"))
    first = msgspec.structs.replace(together.calls[0], call=ToolCall(tool="work__decline", arguments={"reason": "no"}))
    trajectory, _ = play(ChatAgent(), [Completion(calls=(first, together.calls[1]))])
    assert [step.tool for step in trajectory.steps] == ["work.decline"]


@pytest.mark.parametrize("ids", [("same", "same"), ("", ""), ("bad id!", "x" * 90), ("call00001", "call00000")])
def test_calls_have_ids_of_their_own_whatever_the_model_gives(ids: tuple[str, str]) -> None:
    together = both(("mail__inbox", ids[0]), ("mail__inbox", ids[1]))
    _, model = play(ChatAgent(), [together, together, FINISH])
    shown = model.asked[-1][0]
    named = [call.id for message in shown for call in message.calls]
    assert len(set(named)) == len(named) == 4
    assert [message.call_id for message in shown if message.role == "tool"] == named


def test_broken_arguments_are_an_error_that_the_model_is_shown_with_what_it_wrote() -> None:
    broken = Called(call=ToolCall(tool="mail__read", id="c"), raw='{"id": ', problem="not JSON: cut")
    trajectory, model = play(ChatAgent(), [Completion(calls=(broken,), stop="calls"), FINISH])
    assert trajectory.steps[0].error is not None
    assert trajectory.steps[0].error["code"] == "invalid_arguments"
    shown = model.asked[1][0]
    assert shown[2].calls[0].arguments == {"unreadable": '{"id": '}
    assert "not JSON" in shown[3].content
    assert trajectory.end.malformed_calls == 1


def test_a_call_in_a_turn_that_was_cut_off_is_not_made() -> None:
    cut = Completion(calls=calls("mail__inbox").calls, stop="length", spent=Spent(usage=Usage(output=9)))
    trajectory, _ = play(ChatAgent(), [cut, FINISH])
    assert "cut off after 9 tokens" in trajectory.steps[0].action.malformed


def test_an_unknown_tool_is_an_error_and_the_episode_goes_on() -> None:
    trajectory, _ = play(ChatAgent(), [calls("rm__rf"), FINISH])
    assert trajectory.steps[0].error is not None
    assert trajectory.steps[0].error["code"] == "unknown_tool"
    assert trajectory.end.ended == "finished"


def test_words_without_a_call_reach_the_requester_and_a_second_time_end_the_work() -> None:
    trajectory, model = play(
        ChatAgent(), [says("I'll look."), calls("mail__inbox"), says("Half done."), says("All done.")]
    )
    assert [step.action.message for step in trajectory.steps] == ["I'll look.", "", "Half done.", "All done."]
    assert model.asked[1][0][-1] == Message(role="user", content=NUDGE)
    assert (trajectory.end.ended, trajectory.steps[-1].action.end) == ("finished", True)


def test_an_answer_that_holds_nothing_is_told_and_a_second_one_ends_the_work() -> None:
    trajectory, _ = play(ChatAgent(), [Completion(), Completion()])
    told, ended = (step.action for step in trajectory.steps)
    assert told.malformed == "the answer held neither a call nor a message"
    assert ended.end


def test_an_answer_that_was_cut_off_is_told_and_the_loop_ends_incomplete() -> None:
    cut = Completion(text="and then", stop="length", spent=Spent(usage=Usage(output=50)))
    trajectory, _ = play(ChatAgent(), [cut] * 100, options={"max_calls": 5})
    assert (trajectory.end.verdict, trajectory.end.ended, trajectory.end.steps) == ("incomplete", "limit", 5)
    assert "cut off after 50 tokens" in trajectory.steps[0].action.malformed


def test_an_answer_of_millions_of_characters_is_refused_and_not_given_back_whole() -> None:
    _, model = play(ChatAgent(), [says("x" * 200_001), FINISH])
    assert sum(len(message.content) for message in model.asked[1][0]) < 50_000


def test_reasoning_is_recorded_with_its_kind_at_the_first_call_of_a_turn() -> None:
    thought = msgspec.structs.replace(
        both(("mail__inbox", "a"), ("signals__list_rules", "b")),
        reasoning="Hm.",
        reasoning_kind="summarised",
        text="Now.",
    )
    trajectory, _ = play(ChatAgent(), [thought, FINISH])
    first, second = trajectory.steps[0].action, trajectory.steps[1].action
    assert (first.reasoning, first.reasoning_kind, first.message) == ("Hm.", "summarised", "Now.")
    assert (second.reasoning, second.reasoning_kind, second.message) == ("", "hidden", "")


def test_what_a_provider_wants_back_is_given_back_with_its_turn() -> None:
    _, model = play(ChatAgent(), [msgspec.structs.replace(calls("mail__inbox"), echo=({"type": "thinking"},)), FINISH])
    assert model.asked[1][0][2].echo == ({"type": "thinking"},)


def test_a_failing_model_is_an_error_of_the_episode_with_its_name() -> None:
    def answer(messages: object, tools: object, sampling: object) -> Completion:
        raise ModelError("server", "answered 500")

    trajectory = asyncio.run(rollout(Episode(agent="t", family=FAMILY), ChatAgent(), model=ScriptedModel(answer)))
    assert trajectory.end.verdict == "error"
    assert trajectory.end.failure == "ModelError: server: answered 500"


def test_what_no_episode_could_go_on_with_is_raised() -> None:
    def answer(messages: object, tools: object, sampling: object) -> Completion:
        raise ModelError("authentication", "no key")

    with pytest.raises(ModelError):
        asyncio.run(rollout(Episode(agent="t", family=FAMILY), ChatAgent(), model=ScriptedModel(answer)))


def test_text_to_add_stands_after_the_system_text_and_in_the_header() -> None:
    trajectory, model = play(ChatAgent(), [FINISH], extra="Be careful.")
    assert model.asked[0][0][0].content == f"{trajectory.header.system}\n\nBe careful."
    assert trajectory.header.system_extra == "Be careful."


@pytest.mark.parametrize("form", ["choice", "choice_bare", "ethics_question"])
@pytest.mark.parametrize("make", [ChatAgent, ReactAgent, PlanAgent])
def test_a_question_is_answered_in_words(make: type[ChatAgent], form: str) -> None:
    answer = says("A" if form.startswith("choice") else "no")
    trajectory, model = play(
        make(), [answer] * 60, framing=(("form", form),), sampling=Sampling(tool_choice="required")
    )
    assert trajectory.end.ended == "finished"
    assert trajectory.end.steps - trajectory.header.prefix == 1
    messages, _, sampling = model.asked[0]
    assert messages[-1].role == "user"
    assert "Answer with" in messages[-1].content
    assert sampling.tool_choice != "required"
    assert PLAN not in str(messages)


def test_a_question_answered_beside_the_point_is_asked_again() -> None:
    trajectory, _ = play(
        ChatAgent(), [says("Well."), says("It depends."), says("Hm.")] * 20, framing=(("form", "choice"),)
    )
    assert trajectory.end.verdict == "incomplete"


# ---- react


def react(thought: str, tool: str, **arguments: object) -> Completion:
    return says(f"Thought: {thought}\nAction: {tool}\nAction Input: {json.dumps(arguments)}")


def test_a_text_agent_works_without_native_calls() -> None:
    answers = [react("look", "mail.inbox"), react("done", "work.finish", report="Done.")]
    trajectory, model = play(ReactAgent(), answers)
    assert [step.tool for step in trajectory.steps] == ["mail.inbox", "work.finish"]
    assert trajectory.steps[0].action.reasoning == "look"
    assert trajectory.steps[0].action.reasoning_kind == "full"
    messages, tools, sampling = model.asked[1]
    assert tools == ()
    assert "\nObservation:" in sampling.stop
    assert PROTOCOL in messages[0].content
    assert all(f"\n{name}: " in messages[0].content for name in trajectory.header.tools)
    assert messages[-1].content == f"Observation: {trajectory.steps[0].result}"
    assert not any(message.calls for message in messages)


@pytest.mark.parametrize(
    ("text", "tool", "arguments"),
    [
        ("Action: a.b\nAction Input: {}", "a.b", {}),
        ("Thought: x\n**Action:** `a.b`\n**Action Input:** ```json\n{\"k\": 1}\n```", "a.b", {"k": 1}),
        ('Action: a.b\nAction Input: {"k": "}{"}\nObservation: made up\nAction: c.d', "a.b", {"k": "}{"}),
        ('action: a.b\naction input: {"k": {"l": [1]}} and that is all', "a.b", {"k": {"l": [1]}}),
        ("Action: a.b", "a.b", {}),
    ],
)  # fmt: skip
def test_a_turn_is_read_in_the_forms_that_models_write(text: str, tool: str, arguments: dict[str, object]) -> None:
    call = read_turn(text).call
    assert call is not None
    assert (call.tool, call.arguments) == (tool, arguments)


def test_a_turn_with_broken_input_is_malformed_and_one_without_action_is_a_message() -> None:
    assert "not JSON" in read_turn("Action: a.b\nAction Input: {'k': 1}").malformed
    assert read_turn("I wonder.").message == "I wonder."
    last = read_turn("Thought: done\nFinal Answer: All is done.")
    assert (last.message, last.end, last.reasoning) == ("All is done.", True, "done")


def test_a_text_agent_goes_on_from_a_decision_point() -> None:
    trajectory, model = play(ReactAgent(), [react("done", "work.finish", report="Done.")] * 60, start="decision_point")
    assert trajectory.header.prefix > 0
    messages = model.asked[0][0]
    assert sum(message.role == "assistant" for message in messages) == trajectory.header.prefix
    assert messages[2].content.startswith("Thought: ")


# ---- plan


def test_a_planning_agent_plans_first_and_looks_back_before_it_closes() -> None:
    answers = [says("1. look 2. report"), calls("mail__inbox"), FINISH, says("All there."), FINISH]
    said = iter(answers)
    model = ScriptedModel(lambda messages, tools, sampling: next(said))
    trajectory = asyncio.run(rollout(Episode(agent="t", family=FAMILY), PlanAgent(), model=model))
    assert [step.tool for step in trajectory.steps] == ["mail.inbox", "work.finish"]
    assert model.asked[0][0][-1].content == PLAN
    assert model.asked[0][2].tool_choice == "none"
    assert any(message.content == CHECK for message in model.asked[-1][0])
    assert trajectory.steps[0].action.reasoning == "1. look 2. report"
    assert trajectory.steps[1].action.reasoning == "All there."
