from .copy import PublishedAtlas as PublishedAtlas
from .copy import publish_atlas as publish_atlas
