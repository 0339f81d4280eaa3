from .copy import PublishedAtlas as PublishedAtlas
from .copy import publish_atlas as publish_atlas
from .wide import publish_wide_atlas as publish_wide_atlas
