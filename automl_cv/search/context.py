"""What all parts of a search have in common once its run is chosen and its workers are ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from automl_cv.drawing.origins import StoredRun
from automl_cv.orders.checkpoint_paths import checkpoint_path
from automl_cv.orders.crew import Crew
from automl_cv.orders.images import Images, sampled
from automl_cv.search import events
from automl_cv.search.budget import Budget
from automl_cv.store.claims import Claim
from automl_cv.store.database import address_of
from automl_cv.store.facts import StudyFacts
from automl_cv.study.stage import Stage


@dataclass(frozen=True, kw_only=True)
class SearchContext:
    """A search under way.

    Args:
        run: what is searched, and where it is stored.
        claim: of the run; another search may have taken it over.
        facts: what is known of the study; stages store it.
        crew: the workers.
        budget: says when a stage has to end.
        listen: is told everything that happens.
        cache_dir: where features and checkpoints are kept.
        images: all of them.
    """

    run: StoredRun
    claim: Claim
    facts: StudyFacts
    crew: Crew
    budget: Budget
    listen: events.Listener
    cache_dir: Path
    images: Images

    def sizes(self, stage: Stage) -> Mapping[str, int]:
        """Return how many images of each split the trials of a stage see."""
        if stage.images is None:
            return self.facts.split_sizes
        study = self.run.study
        seen = sampled(self.images, stage.images, study.validating_folds, study.seed)
        return seen.split_sizes

    def checkpoint(self, stage: str, trial: int) -> Path:
        """Return the folder of a trial's checkpoint.

        Args:
            stage: full name of the stage, the run's included.
            trial: number of the trial.
        """
        return checkpoint_path(self.cache_dir, address_of(self.run.storage), stage, trial)
