"""How the miniature CLIP is trained."""
