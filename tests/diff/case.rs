//! What a case is: a name that says what is asked, the versions it is asked in, and the asking.

use crate::world::World;

pub struct Case {
    pub name: String,
    pub versions: Vec<i16>,
    pub run: Box<dyn Fn(&mut World, i16)>,
}

/// A case that is run once in each of these versions of its API, each time in a world of its own.
pub fn case(
    name: impl Into<String>,
    versions: impl IntoIterator<Item = i16>,
    run: impl Fn(&mut World, i16) + 'static,
) -> Case {
    Case { name: name.into(), versions: versions.into_iter().collect(), run: Box::new(run) }
}

/// How often these cases run in all: once for each of their versions.
pub fn runs(cases: &[Case]) -> usize {
    cases.iter().map(|case| case.versions.len()).sum()
}
