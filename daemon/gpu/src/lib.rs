//! What the cards say. Empty until the listing of cards lands.
