//! README's table of APIs is the one that is served: the test fails when they differ, and rewrites it with
//! UPDATE_README=1.

use std::fs;
use std::path::Path;

use crate::api::table::TABLE;

#[test]
fn the_readme_names_the_apis_and_versions_that_are_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = fs::read_to_string(&path).expect("the page");
    let mut table = "| API | key | versions |\n|---|---|---|\n".to_owned();
    for row in TABLE {
        let (api, last) = (row.api, row.api.versions().max);
        table += &format!("| {} | {} | {}–{last} |\n", api.name(), api.key(), row.version_min_told);
    }
    let (begin, end) = ("<!-- APIs -->\n", "<!-- end of APIs -->");
    let (before, rest) = page.split_once(begin).expect("the first mark");
    let (_, after) = rest.split_once(end).expect("the second mark");
    let wanted = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(&path, &wanted).expect("written");
    } else {
        assert!(page == wanted, "README.md differs from the table of APIs: UPDATE_README=1 cargo test --lib readme");
    }
}
