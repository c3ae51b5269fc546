//! Integration tests of the whole package, one module for each subject.

mod broker;
mod oracle;
mod process;
mod tidy;
