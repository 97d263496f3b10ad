"""An opened tomogram, estimates from its grey values, and `Item`: a tomogram with all inputs of a restoration."""

from cryowae.tomogram.item import Item, item_of, items_of
from cryowae.tomogram.opening import Tomogram, open_tomogram

__all__ = ["Item", "Tomogram", "item_of", "items_of", "open_tomogram"]
