"""A policy for the discrete twins: every choice is scored by one and the same network, so that slots may be permuted.

The score of a choice is an MLP of its descriptor and an embedding of the episode; the value is one of the episode and
of the choices that are open, pooled. Needs the extra `train` (sb3-contrib, torch); nothing else of ours imports it.
"""

from __future__ import annotations

from typing import Any

import torch
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from impress_env.discrete import DESCRIPTOR, GLOBAL, OPEN


class _Pointer(nn.Module):
    """From the flat observation to a score for each slot, and to what the value is read off."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.latent_dim_vf = 3 * width
        self.episode = nn.Sequential(nn.Linear(GLOBAL, 2 * width), nn.ReLU(), nn.Linear(2 * width, width), nn.ReLU())
        self.slot = nn.Linear(DESCRIPTOR, width)
        self.given = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)
        self.hidden = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.score = nn.Linear(width, 1)
        self.latent_dim_pi = 0  # set by the policy: the number of slots

    def _embedded(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        slots = flat[:, GLOBAL:].unflatten(1, (-1, DESCRIPTOR))
        episode = self.episode(flat[:, :GLOBAL])
        given, gate = self.given(episode).unsqueeze(1), torch.sigmoid(self.gate(episode)).unsqueeze(1)
        return slots, episode, self.hidden(self.slot(slots) * 2 * gate + given)

    def forward(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        slots, episode, hidden = self._embedded(flat)
        is_open = slots[:, :, OPEN : OPEN + 1]
        mean = (hidden * is_open).sum(1) / is_open.sum(1).clamp(min=1.0)
        top = (hidden * is_open).amax(1)
        return self.score(hidden).squeeze(-1), torch.cat((episode, mean, top), 1)

    def forward_actor(self, flat: Tensor) -> Tensor:
        return self.forward(flat)[0]

    def forward_critic(self, flat: Tensor) -> Tensor:
        return self.forward(flat)[1]


class PointerPolicy(MaskableActorCriticPolicy):
    """MaskablePPO's policy over the observations of `DiscreteScenarioEnv`.

    Args:
        width: Of the hidden layers.
        kwargs: As sb3-contrib's policy.
    """

    def __init__(self, *args: Any, width: int = 48, **kwargs: Any) -> None:
        self.width = width
        super().__init__(*args, **{"ortho_init": False, **kwargs})

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _Pointer(self.width).to(self.device)
        self.mlp_extractor.latent_dim_pi = int(self.action_space.n)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()
        self.value_net = nn.Sequential(
            nn.Linear(self.mlp_extractor.latent_dim_vf, self.width), nn.ReLU(), nn.Linear(self.width, 1)
        ).to(self.device)
        with torch.no_grad():  # begin near the uniform choice
            self.mlp_extractor.score.weight.mul_(0.1)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)
