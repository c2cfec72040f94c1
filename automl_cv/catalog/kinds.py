"""The kinds of training: what of a network the trials of a stage learn, and what from.

A new kind is an entry here and one file in `worker/`; a stage asks for it with `kind = "NAME"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from automl_cv.catalog.settings import SettableEntry
from automl_cv.registry import Table


@dataclass(frozen=True, kw_only=True)
class KindEntry(SettableEntry):
    """A kind of training; its target is a class that has the verbs of `worker.kind.Kind`.

    Args:
        key: the key of a stage that makes it of this kind; empty where only `kind` names it.
        trained: the key of a stage that names what is trained, an entry of the table of heads or
            of networks, or of exact heads; empty where nothing is trained that has a name.
        in_steps: whether an optimizer trains it, step by step and epoch by epoch. What is solved
            at once has one epoch, and its space holds no optimizer, batch size or rate.
        takes_folds: whether its trials can be trained on all folds of train and validation
            images, so that a study may go by what each fold says of the images it was not
            trained on.
        begins_with_head: whether a trial goes on with the backbone from a head that another stage
            trained.
        learns_from: features of the study's backbone, or pixels, without any backbone.
        is_long: whether trials train more than a head, so that a checkpoint each epoch is worth
            it, and a worker process is replaced after fewer of them.
        sentence: what a model card says of it. {trained} is the name of the head or network,
            {blocks} and {backbone} whose features it learns from, {tuned} what of the backbone
            was trained: "block was", "2 blocks were".
    """

    key: str = ""
    trained: Literal["head", "network", "exact", ""] = "head"
    in_steps: bool = True
    takes_folds: bool = False
    begins_with_head: bool = False
    learns_from: Literal["features", "pixels"] = "features"
    is_long: bool = False
    sentence: str


DEFAULT_KIND = "head"

KINDS: Table[KindEntry] = Table(
    "kind of training",
    [
        KindEntry(
            name=DEFAULT_KIND,
            about="a head on cached features of the frozen backbone",
            target="automl_cv.worker.heads:Heads",
            takes_folds=True,
            sentence="A head on the features of {blocks} of {backbone}, frozen.",
        ),
        KindEntry(
            name="exact",
            about="a head on cached features, solved exactly and not in steps",
            target="automl_cv.worker.exact_heads:ExactHeads",
            key="exact",
            trained="exact",
            in_steps=False,
            takes_folds=True,
            sentence="A head on the features of {blocks} of {backbone}, frozen, solved exactly: "
            "{trained}.",
        ),
        KindEntry(
            name="combined",
            about="trials of other stages, their logits added with weights",
            target="automl_cv.worker.combined:Combined",
            key="combine",
            trained="",
            in_steps=False,
            takes_folds=True,
            sentence="Heads on the features of {blocks} of {backbone}, frozen, whose logits are "
            "added with weights.",
        ),
        KindEntry(
            name="fine_tuned",
            about="a head first, then the backbone's last blocks with it",
            target="automl_cv.worker.fine_tuning:FineTuning",
            key="fine_tune",
            begins_with_head=True,
            is_long=True,
            sentence="A head on the features of {blocks} of {backbone}, whose last {tuned} trained "
            "on with it.",
        ),
        KindEntry(
            name="network",
            about="a whole network from its first weights, on cached pixels",
            target="automl_cv.worker.networks:Networks",
            key="network",
            trained="network",
            learns_from="pixels",
            is_long=True,
            sentence="{trained}, trained from its first weights on these images alone.",
        ),
    ],
)


def kind_by_keys(stage: Mapping[str, Any]) -> str:
    """Return the name of the kind that the keys of a stage make it.

    Args:
        stage: its fields by name; absent ones have a mistake of their own.
    """
    return next(
        (entry.name for entry in KINDS if entry.key and stage.get(entry.key) is not None),
        DEFAULT_KIND,
    )


def in_steps(kind: str) -> bool:
    """Tell whether trials of a kind are trained in steps; of an unknown name, too."""
    return kind not in KINDS or KINDS[kind].in_steps
