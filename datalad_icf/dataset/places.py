"""Files that this package has below ``.git`` of a clone"""

from __future__ import annotations

# URLs of the tarball that are nearer than those of the dataset, a line each
PLACES_FILE = 'icf/places'
