"""A model endpoint for tests: it speaks OpenAI's and Anthropic's protocols, fails as they do, and keeps account.

`FaultyEndpoint` serves on 127.0.0.1; a policy decides what is answered, `Faults` what goes wrong, and `Account` says
what arrived, what was answered and which tokens were told. Answers and faults depend on what was asked and on seeds,
never on time or on the order in which requests arrive. Knows nothing of our own models, agents or runs.

    async with FaultyEndpoint(call_tools(finish="finish", after=3), faults=Faults(rate=0.2)) as server:
        ...  # ask server.url
    assert server.account.billed == ...

`python -m impress_env.testing.endpoint --help` serves in a process of its own, to be killed and started again.
"""

from impress_env.testing.endpoint.account import Account, Answer, read_log
from impress_env.testing.endpoint.faults import KINDS, REFUSING, UNTOLD, FaultKind, Faults
from impress_env.testing.endpoint.policy import Asked, Call, Policy, Reply, call_tools, fixed
from impress_env.testing.endpoint.protocol import body_hash
from impress_env.testing.endpoint.server import FaultyEndpoint

__all__ = [
    "KINDS",
    "REFUSING",
    "UNTOLD",
    "Account",
    "Answer",
    "Asked",
    "Call",
    "FaultKind",
    "Faults",
    "FaultyEndpoint",
    "Policy",
    "Reply",
    "body_hash",
    "call_tools",
    "fixed",
    "read_log",
]
