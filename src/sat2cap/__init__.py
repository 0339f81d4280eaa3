"""Type a sentence, get a map: text-prompted maps from overhead imagery, after the Sat2Cap paper."""
