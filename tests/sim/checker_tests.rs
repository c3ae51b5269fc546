//! Histories with a planted flaw: each must be caught.
