//! tuning.md's tables are those of the code: its tests fail when they differ, and rewrite them with UPDATE_TUNING=1.
