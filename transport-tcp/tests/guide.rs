//! What the README and the guide say is held to the code.

#![expect(clippy::unwrap_used, reason = "a test ends where what it needs is not there")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use process_hub_core::config::{HubConfig, MembershipConfig, limits};
use process_hub_core::id::HubId;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_readme_shows_the_example() {
    // The README is compiled and run as documentation; the example's first line is for its readers only.
    let (_, example) = include_str!("../examples/two_nodes.rs").split_once("\n\n").unwrap();
    assert!(
        read("README.md").contains(example),
        "README.md does not hold transport-tcp/examples/two_nodes.rs as it is"
    );
}

#[test]
fn every_field_of_a_hub_is_in_the_guide_with_its_default() {
    let page = read("docs/configuration.md");
    for (name, value) in HubConfig::new(HubId::new("h").unwrap()).fields() {
        let row = format!("| `{name}` | `{value}` |");
        assert!(page.contains(&row), "docs/configuration.md has no row that begins with {row}");
    }
    let MembershipConfig { probe_period, probe_rtt, suspicion, keepalive, redial_min, redial_max } = Default::default();
    let ms = Duration::from_millis;
    let told = (ms(300), ms(120), ms(2_000), ms(500), ms(50), ms(2_000));
    assert_eq!(told, (probe_period, probe_rtt, suspicion, keepalive, redial_min, redial_max), "docs/configuration.md");
}

#[test]
fn the_limits_are_those_of_the_guide() {
    let told = [1 << 20, 64 << 10, 16 << 10, 512 << 10, 4_096, 4_096, 1_024, 256, 65_536, 1_024, 4 << 20];
    let real = [
        limits::FRAME,
        limits::SPEC,
        limits::METADATA,
        limits::PAYLOAD,
        limits::BATCH,
        limits::SLICE,
        limits::MEMBERS,
        limits::HUBS,
        limits::OPEN_REQUESTS,
        limits::WAITING_MESSAGES,
        limits::WINDOW,
    ];
    assert_eq!(told, real, "docs/configuration.md and docs/messaging.md tell the limits");
}

#[test]
fn the_parity_table_names_tests_that_exist() {
    let mut all = String::new();
    sources(&repository(), &mut all);
    let tests = tests(&all);
    let page = read("docs/parity.md");
    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let Some(last) = row.trim_end_matches('|').rsplit('|').next() else { continue };
        for name in last.split('`').skip(1).step_by(2) {
            assert!(tests.contains(name), "docs/parity.md: there is no test {name}");
            named += 1;
        }
    }
    assert!(named > 200, "{named} tests are named");
}

/// The names of functions that a test's attribute stands above.
fn tests(sources: &str) -> BTreeSet<&str> {
    let (mut names, mut is_test) = (BTreeSet::new(), false);
    for line in sources.lines().map(str::trim_start) {
        if ["#[test]", "#[tokio::test", "#[madsim::test"].iter().any(|attribute| line.starts_with(attribute)) {
            is_test = true;
        } else if !line.starts_with("//")
            && let Some((_, rest)) = line.split_once("fn ")
            && let Some((name, _)) = rest.split_once('(')
            && std::mem::take(&mut is_test)
        {
            names.insert(name);
        }
    }
    names
}

#[test]
fn a_function_is_a_test_by_what_stands_above_it() {
    let source = "fn helper() {}\n#[test]\n#[cfg(unix)]\n/// Calls fn other().\nfn one() {\n    fn inner() {}\n}\n\
                  proptest! {\n    #[test]\n    fn two(\n        n: u8,\n    ) {}\n}\n\
                  #[tokio::test(start_paused = true)]\nasync fn three() {}\npub fn four() {}\n\
                  #[expect(\n    dead_code,\n)]\nfn five() {}\n#[madsim::test]\nasync fn six() {}\n";
    assert_eq!(tests(source).into_iter().collect::<Vec<_>>(), ["one", "six", "three", "two"]);
}

/// All source files of the workspace's packages, one after the other.
fn sources(dir: &Path, all: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, all);
        } else if name.ends_with(".rs") {
            *all += &fs::read_to_string(&path).unwrap();
        }
    }
}

#[test]
fn links_between_pages_lead_somewhere_and_no_page_is_forgotten() {
    let summary = read("docs/SUMMARY.md");
    let mut pages = vec![repository().join("README.md"), repository().join("CHANGELOG.md")];
    for entry in fs::read_dir(repository().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".md") && name != "SUMMARY.md" {
            assert!(summary.contains(&format!("({name})")), "docs/SUMMARY.md lacks {name}");
        }
        if name.ends_with(".md") {
            pages.push(path);
        }
    }
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            check_link(&page, link);
        }
    }
}

fn check_link(page: &Path, link: &str) {
    if link.contains("://") || link.contains(' ') {
        return;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    assert!(target.exists(), "{}: nothing lies at {link}", page.display());
    if !anchor.is_empty() {
        let text = fs::read_to_string(&target).unwrap();
        let headings = text.lines().filter(|line| line.starts_with('#')).map(slug);
        assert!(headings.into_iter().any(|slug| slug == anchor), "{}: no heading for {link}", page.display());
    }
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}
