"""Programs of loops, lists and state, as models have them."""
