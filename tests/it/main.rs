//! Integration tests of the whole package, one module for each subject.

mod oracle;
