"""Commands that ask an atlas: map, search, difference, classify, caption."""
