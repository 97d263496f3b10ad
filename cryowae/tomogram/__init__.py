"""A tomogram as it was opened, what its grey values tell, and `Item`: the work that is to be done with it."""

from cryowae.tomogram.item import Item, item_of, items_of
from cryowae.tomogram.opening import Tomogram, open_tomogram

__all__ = ["Item", "Tomogram", "item_of", "items_of", "open_tomogram"]
