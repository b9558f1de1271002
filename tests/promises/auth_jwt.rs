//! Who may have a feed, by tokens (JSON Web Tokens).
