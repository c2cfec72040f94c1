"""Features of images: what determines them, and the cache that keeps them. NumPy only."""

from automl_cv.features.cache import CacheEntry, FeatureCache, Features
from automl_cv.features.recipes import Recipe, ViewRecipe, recipe, view_name, view_names

__all__ = [
    "CacheEntry",
    "FeatureCache",
    "Features",
    "Recipe",
    "ViewRecipe",
    "recipe",
    "view_name",
    "view_names",
]
