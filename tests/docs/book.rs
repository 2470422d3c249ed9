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

/// In the book a page is HTML in a folder of its own: what `make book` does not put there cannot be linked to.
#[test]
fn every_link_of_the_book_leads_somewhere_in_it() {
    let mut dead = Vec::new();
    let mut outside = 0;
    for page in pages().into_iter().filter(|page| page.path.starts_with("docs") && !page.path.ends_with("SUMMARY.md")) {
        for link in page.links.iter().filter(|link| !link.starts_with("https://")) {
            let file = link.split('#').next().unwrap_or_default();
            let path = normal(&page.path.parent().unwrap().join(file));
            outside += usize::from(!path.starts_with("docs"));
            let is_there = ["docs", "specs", "fixtures"].iter().any(|folder| path.starts_with(folder));
            // mdBook names these index.html, and leaves the links to them alone.
            if !is_there || path.ends_with("README.md") {
                dead.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "these links lead nowhere in the book:\n{}", dead.join("\n"));
    assert!(outside > 10, "{outside}");
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
