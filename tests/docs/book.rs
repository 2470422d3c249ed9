//! The book as a whole: every page is in it once, and every link leads somewhere.

use super::page::{Page, pages};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Resolves `..` in a path that need not exist.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(normal.pop(), "{} leads out of the repository", path.display()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[test]
fn every_page_is_in_the_summary_once() {
    let summary = Page::read(Path::new("docs/SUMMARY.md"));
    let mut named: Vec<PathBuf> = summary.links.iter().map(|link| normal(&Path::new("docs").join(link))).collect();
    named.sort();
    let all = pages().into_iter().map(|page| page.path);
    let mut there: Vec<PathBuf> = all.filter(|path| path.starts_with("docs") && *path != summary.path).collect();
    there.sort();
    assert_eq!(named, there);
}

#[test]
fn every_link_leads_somewhere() {
    let pages: BTreeMap<PathBuf, Page> = pages().into_iter().map(|page| (page.path.clone(), page)).collect();
    let mut dead = Vec::new();
    let mut followed = 0;
    for page in pages.values() {
        for link in page.links.iter().filter(|link| !link.starts_with("https://")) {
            followed += 1;
            let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(file, name)| (file, Some(name)));
            let path = match file {
                "" => page.path.clone(),
                file => normal(&page.path.parent().unwrap().join(file)),
            };
            let is_there = match (pages.get(&path), anchor) {
                (Some(target), Some(anchor)) => target.anchors.contains(anchor),
                (None, Some(_)) => false,
                (_, None) => path.exists(),
            };
            if !is_there {
                dead.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "these links lead nowhere:\n{}", dead.join("\n"));
    assert!(followed > 100, "{followed}");
}
